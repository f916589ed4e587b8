"""Maps of past frames against backpropagation by hand, and against running the sequence again with one frame changed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.explain import METHODS, Method, gradient, past_frames, scores
from rljax_viz.transforms import activations, intervene
from tests.explain.test_unroll import UNITS, H, T, W, by_hand, cell, params, window  # noqa: F401  (fixtures)

MISSING = 2
HELD = np.linspace(-1, 1, UNITS)


def rest(missing=MISSING):
    return jnp.int32(2), {"h": jnp.asarray(HELD, jnp.float32)}, jnp.int32(missing)


@pytest.mark.parametrize("method", [METHODS["gradient"], Method(gradient, stacked=False)], ids=["window", "frame by frame"])
def test_slopes_are_those_of_backpropagation_through_time(params, window, method):  # noqa: F811
    _, want = by_hand(params, window[MISSING:], HELD, 2)
    map = jax.jit(past_frames(method, cell, scores.chosen_logit))(params, window, *rest())
    assert map.shape == window.shape and map.dtype == jnp.float32
    assert not np.asarray(map[:MISSING]).any() and np.abs(want[0]).max() > 0
    np.testing.assert_allclose(map[MISSING:], want, atol=1e-5 * np.abs(want).max())
    other = past_frames(method, cell, scores.chosen_logit)(params, window.at[:MISSING].set(7.0), *rest())
    np.testing.assert_allclose(other, map, atol=1e-5 * np.abs(want).max())  # what is missing is not seen


def test_occlusion_of_a_past_frame_is_the_sequence_run_again_without_the_spot(params, window):  # noqa: F811
    def logit(frames):
        return by_hand(params, frames, HELD, 2)[0][2]

    def run_again(k, y, x):
        changed = np.array(window, np.float64)
        changed[k, y, x] = 0
        return logit(window[MISSING:]) - logit(changed[MISSING:])

    map = past_frames(METHODS["occlusion"], cell, scores.chosen_logit, window=1, stride=1)(params, window, *rest())
    want = [[[run_again(k, y, x) for x in range(W)] for y in range(H)] for k in range(T)]
    assert not np.asarray(map[:MISSING]).any()
    np.testing.assert_allclose(map, want, atol=1e-5 * np.abs(want).max())


def test_integrated_gradients_share_out_the_change_from_a_black_window(params, window):  # noqa: F811
    explain = past_frames(METHODS["integrated_gradients"], cell, scores.chosen_logit, steps=20)
    (full, _), (black, _) = (by_hand(params, x[MISSING:], HELD) for x in (window, 0 * window))
    np.testing.assert_allclose(explain(params, window, *rest()).sum(), full[2] - black[2], rtol=1e-3)


@pytest.fixture(scope="module")
def small():
    """minatar-lstm with weights large enough that the past matters, four frames, a memory."""
    net = networks.make("minatar-lstm", 3)
    frames = jax.random.randint(jax.random.key(0), (4, 10, 10, 2), 0, 2).astype(jnp.uint8) * 255
    weights = net.init(jax.random.key(1), frames[0])
    memory = jax.tree.map(lambda x: 0.3 * jax.random.normal(jax.random.key(2), x.shape), (jnp.zeros(128),) * 2)
    return net.apply, weights, frames, memory


@pytest.mark.parametrize("k", [0, 2, 3])
def test_grad_cam_of_a_past_frame_by_finite_differences(small, k):
    f, weights, frames, memory = small

    @jax.jit
    def value(shift):  # of channel after channel of conv1, at frame k alone, and the sequence run again
        carry = memory
        for t, obs in enumerate(frames):
            step = intervene(f, {"conv1": lambda h: h + shift[None, None]}) if t == k else f
            out = step(weights, obs, carry)
            carry = out.carry
        return out.value

    carry = memory
    for obs in frames[:k]:
        carry = f(weights, obs, carry).carry
    h = np.asarray(activations(f, ["conv1"])(weights, frames[k], carry)[1]["conv1"])
    eps = 1e-3  # few ReLUs of `fc` turn so near
    slope = [(value(eps * e) - value(-eps * e)) / (2 * eps) for e in np.eye(h.shape[-1], dtype=np.float32)]
    want = np.maximum((h * np.array(slope) / (h.shape[0] * h.shape[1])).sum(-1), 0)
    explain = past_frames(METHODS["grad_cam"], f, scores.value, layer="conv1")
    map = jax.jit(explain)(weights, frames, jnp.int32(0), memory, jnp.int32(0))
    assert map.shape == (4, 8, 8) and want.max() > 0
    np.testing.assert_allclose(map[k], want, atol=3e-2 * want.max())


@pytest.mark.parametrize("name", ["guided_backprop", "hires_cam"])
def test_a_batch_is_a_loop(small, name):
    f, weights, frames, memory = small
    static = {"layer": "conv1"} if METHODS[name].needs_layer else {}
    explain = past_frames(METHODS[name], f, scores.logit(1), **static)
    windows, missing = jnp.stack([frames, frames[::-1]]), jnp.array([0, 3])
    memories = jax.tree.map(lambda x: jnp.stack([x, -x]), memory)
    batch = jax.jit(jax.vmap(explain, (None, 0, 0, 0, 0)))(weights, windows, jnp.zeros(2, jnp.int32), memories, missing)
    for i in range(2):
        one = explain(weights, windows[i], jnp.int32(0), jax.tree.map(lambda x, i=i: x[i], memories), missing[i])
        np.testing.assert_allclose(batch[i], one, atol=1e-5 * np.abs(one).max())
    assert not np.asarray(batch[1][:3]).any() and np.asarray(batch[1][3]).any()


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_has_maps_of_past_frames(small, name):
    f, weights, frames, memory = small
    entry = METHODS[name]
    static = dict(entry.options) | ({"layer": "conv1"} if entry.needs_layer else {})
    static |= {"baselines": jnp.zeros((2, *frames.shape))} if "baselines" in entry.needs else {}
    static |= {"masks": jnp.ones((2, 10, 10))} if "masks" in entry.needs else {}
    score = scores.vector("logits") if entry.vector else scores.value
    explain = past_frames(entry, f, score, **static)
    key = (jax.random.key(0),) if entry.random else ()
    map = jax.eval_shape(explain, *key, weights, frames, jnp.int32(0), memory, jnp.int32(0))
    sides = {"obs": (10, 10), "layer": (8, 8), "grid": (2, 2)}[entry.resolution]
    assert map.shape[:3] == (4, *sides) and (map.ndim == 4) == entry.stacked and map.dtype == jnp.float32


def test_a_layer_without_places_is_refused_as_everywhere(small):
    f, weights, frames, memory = small
    with pytest.raises(ValueError, match=r"layer \[h w c\]"):
        past_frames(METHODS["grad_cam"], f, scores.value, layer="lstm")(weights, frames, jnp.int32(0), memory, jnp.int32(0))
