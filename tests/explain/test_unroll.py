from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import gradient, integrated_gradients, record, scores, unroll

T, H, W, C, UNITS, ACTIONS = 5, 3, 4, 2, 6, 3


class Output(NamedTuple):
    logits: jax.Array
    carry: object
    value: jax.Array | None = None
    action: jax.Array | None = None


def cell(params, obs, carry, *rest):
    """An Elman network; None is the start of an episode."""
    h = jnp.zeros(UNITS) if carry is None else carry["h"]
    h = jnp.tanh(obs.reshape(-1).astype(jnp.float32) @ params["in"] + h @ params["back"])
    return Output(logits=h @ params["out"], carry={"h": h})


@pytest.fixture(scope="module")
def params():
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = {"in": (H * W * C, UNITS), "back": (UNITS, UNITS), "out": (UNITS, ACTIONS)}
    return {name: 0.4 * jax.random.normal(k, s) for k, (name, s) in zip(keys, shapes.items(), strict=True)}


@pytest.fixture(scope="module")
def window():
    return jax.random.uniform(jax.random.key(1), (T, H, W, C))


def by_hand(params, window, h, a=0):
    """The logits and d logit[a] / d window, by backpropagation through time in numpy float64."""
    p = {k: np.asarray(v, np.float64) for k, v in params.items()}
    hs = [np.asarray(h, np.float64)]
    for x in np.asarray(window, np.float64):
        hs.append(np.tanh(x.reshape(-1) @ p["in"] + hs[-1] @ p["back"]))
    g, maps = p["out"][:, a], []
    for h_t in reversed(hs[1:]):
        g = g * (1 - h_t**2)
        maps.append((p["in"] @ g).reshape(H, W, C))
        g = p["back"] @ g
    return hs[-1] @ p["out"], np.stack(maps[::-1])


def test_maps_of_past_frames_equal_backpropagation_through_time(params, window):
    logits, map = by_hand(params, window, np.zeros(UNITS), 2)
    np.testing.assert_allclose(unroll(cell)(params, window).logits, logits, rtol=1e-5)
    ours = jax.jit(gradient(unroll(cell), scores.logit(2)))(params, window)
    assert np.abs(map[0]).max() > 0
    np.testing.assert_allclose(ours, map, atol=1e-5 * np.abs(map).max())


def test_the_carry_can_be_given_at_the_call_or_before(params, window):
    h = jnp.linspace(-1, 1, UNITS)
    logits, _ = by_hand(params, window, h)
    np.testing.assert_allclose(unroll(cell)(params, window, {"h": h}).logits, logits, rtol=1e-5)
    np.testing.assert_allclose(unroll(cell, {"h": h})(params, window).logits, logits, rtol=1e-5)


def test_equals_stepping_and_hands_on_the_carry(params, window):
    carry = None
    for obs in window:
        out = cell(params, obs, carry)
        carry = out.carry
    unrolled = unroll(cell)(params, window)
    np.testing.assert_allclose(unrolled.logits, out.logits, rtol=1e-5)
    np.testing.assert_allclose(unrolled.carry["h"], carry["h"], rtol=1e-5)
    first, second = unroll(cell)(params, window[:2]), unroll(cell)
    np.testing.assert_allclose(second(params, window[2:], first.carry).logits, out.logits, rtol=1e-5)


def test_composes(params, window):
    chosen = gradient(record(unroll(cell)), scores.chosen_logit)(params, window, jnp.int32(1))
    np.testing.assert_allclose(chosen, gradient(unroll(cell), scores.logit(1))(params, window), rtol=1e-6)
    map = integrated_gradients(unroll(cell), scores.logit(0), 20)(params, window)
    change = unroll(cell)(params, window).logits[0] - unroll(cell)(params, 0 * window).logits[0]
    np.testing.assert_allclose(map.sum(), change, rtol=1e-3)


def test_rest_after_the_carry_reaches_every_step(window):
    def counting(params, obs, carry, bonus):
        return Output(logits=obs.sum().reshape(1), carry=carry + bonus)

    out = unroll(counting)(None, window, jnp.float32(1), jnp.float32(2))
    assert out.carry == 1 + 2 * T


def test_refusals(params, window):
    with pytest.raises(ValueError, match="at least one frame"):
        unroll(cell)(params, window[:0])
    with pytest.raises(ValueError, match=r"unroll\(cell, initial_carry=\.\.\.\)"):
        unroll(lambda params, obs, carry: Output(obs, carry["h"]))(params, window)
    with pytest.raises(ValueError, match=r"carry is None"):
        unroll(lambda params, obs, carry: Output(obs, None))(params, window)
