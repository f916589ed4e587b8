import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import last_frame
from rljax_viz.images import gather_stacks


def test_the_newest_frame_is_last():
    frames = jnp.arange(5, dtype=jnp.float32).reshape(5, 1, 1, 1) * jnp.ones((1, 2, 3, 1))
    stack = gather_stacks(frames, jnp.zeros(5, jnp.int32), jnp.asarray(4))
    np.testing.assert_array_equal(last_frame(stack), jnp.full((2, 3), 4.0))


def test_colour_frames_are_summed_with_their_sign():
    map = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5, 6)), jnp.float32)
    newest = jax.jit(last_frame, static_argnums=1)(map, 3)
    np.testing.assert_allclose(newest, map[..., 3] + map[..., 4] + map[..., 5], atol=1e-6)
    np.testing.assert_allclose(jax.vmap(last_frame)(map[None])[0], map[..., 5])


def test_refusals():
    with pytest.raises(ValueError, match=r"one map \[H W C\]"):
        last_frame(jnp.zeros((4, 4)))
    for channels in (0, 3, 5):
        with pytest.raises(ValueError, match="does not divide into frames"):
            last_frame(jnp.zeros((4, 4, 4)), channels)
