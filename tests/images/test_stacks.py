from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.images import gather_stacks

N, H, W, STACK = 11, 3, 2, 4
REFILLED = {0, 5, 6}  # three episodes, the second of one frame


def recording(channels=1):
    frames = np.random.default_rng(0).integers(1, 256, (N, H, W, channels), dtype=np.uint8)
    start = np.array([max(r for r in REFILLED if r <= i) for i in range(N)], np.int32)
    return frames, start


def played(frames, padding):
    """What a frame-stack wrapper hands to the agent, step by step: a queue, filled at each reset."""
    seen, queue = [], deque(maxlen=STACK)
    for i, frame in enumerate(frames):
        if i in REFILLED:
            queue.extend([frame if padding == "repeat" else np.zeros_like(frame)] * STACK)
        queue.append(frame)
        seen.append(np.concatenate(list(queue), -1))
    return np.stack(seen)


@pytest.mark.parametrize("padding", ["repeat", "zeros"])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_a_wrapper_that_plays(padding, channels):
    frames, start = recording(channels)
    stacks = jax.jit(lambda f, s, i: gather_stacks(f, s, i, STACK, padding))(frames, start, jnp.arange(N))
    assert stacks.dtype == jnp.uint8
    np.testing.assert_array_equal(stacks, played(frames, padding))


def test_index_of_any_shape_and_vmap():
    frames, start = recording()
    index = jnp.array([[3, 0], [10, 6]])
    stacks = gather_stacks(jnp.asarray(frames), jnp.asarray(start), index)
    assert stacks.shape == (2, 2, H, W, STACK)
    one = gather_stacks(jnp.asarray(frames), jnp.asarray(start), jnp.asarray(10))
    np.testing.assert_array_equal(stacks[1, 0], one)
    np.testing.assert_array_equal(one[..., -1], frames[10, ..., 0])  # the newest is last
    mapped = jax.vmap(lambda i: gather_stacks(frames, start, i))(index.reshape(-1))
    np.testing.assert_array_equal(mapped, stacks.reshape(4, H, W, STACK))


def test_a_stack_of_one_is_the_frame():
    frames, start = recording()
    np.testing.assert_array_equal(gather_stacks(frames, start, np.arange(N), stack=1), frames)


def test_refusals():
    frames, start = recording()
    with pytest.raises(ValueError, match="need a channel"):
        gather_stacks(frames[..., 0], start, np.arange(N))
    with pytest.raises(ValueError, match="stack_start"):
        gather_stacks(frames, start[:-1], np.arange(N))
    with pytest.raises(ValueError, match="'repeat' or 'zeros'"):
        gather_stacks(frames, start, np.arange(N), padding="edge")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="stack >= 1"):
        gather_stacks(frames, start, np.arange(N), stack=0)
    with pytest.raises(ValueError, match=r"rows \[-1, 11\] do not exist"):
        gather_stacks(frames, start, np.array([-1, 3, 11]))
    with pytest.raises(ValueError, match="integer rows"):
        gather_stacks(frames, start, np.array([1.0]))
