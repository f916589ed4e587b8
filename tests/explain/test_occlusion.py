import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import occlusion, scores
from tests import oracles
from tests.explain import tiny


def by_hand(obs, window, stride, fill, target="value"):
    """One window at a time, the last ones cut off by the border, and the mean over those that cover a pixel."""
    weights, (height, width, _) = oracles.weights(), obs.shape
    clean = oracles.forward(weights, obs)[target]
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for y in range(0, -(-(height - window[0]) // stride) * stride + 1, stride):
        for x in range(0, -(-(width - window[1]) // stride) * stride + 1, stride):
            at = np.s_[y : y + window[0], x : x + window[1]]
            covered = obs.astype(np.float64)
            covered[at] = np.broadcast_to(fill, obs.shape)[at]
            total[at] += clean - oracles.forward(weights, covered)[target]
            count[at] += 1
    return total / np.maximum(count, 1)


@pytest.mark.parametrize(("window", "stride", "fill"), [(3, 1, 0.0), (4, 3, 128.0), ((2, 5), 2, 0.0), (2, 4, 7.0)])
def test_equals_the_loop_over_windows(window, stride, fill):
    obs = oracles.frame(1)
    sides = (window, window) if isinstance(window, int) else window
    map = jax.jit(occlusion(tiny.f, scores.value, window, stride, fill))(tiny.params(), jnp.asarray(obs))
    tiny.close(map, by_hand(obs, sides, stride, fill))


def test_fill_may_be_a_frame():
    obs, mean = oracles.frame(1), oracles.frame(2).astype(np.float64)
    map = occlusion(tiny.f, scores.value, 4, 4, jnp.asarray(mean, jnp.float32))(tiny.params(), jnp.asarray(obs))
    tiny.close(map, by_hand(obs, (4, 4), 4, mean))


def test_a_pixel_under_no_window_is_zero():
    map = occlusion(tiny.f, scores.value, 1, 3)(tiny.params(), jnp.asarray(oracles.frame()))
    assert not np.asarray(map)[1::3].any() and np.asarray(map)[::3, ::3].any()


def test_of_a_linear_function_it_is_input_times_weight_under_single_pixels():
    obs, w = jnp.asarray(oracles.frame(), jnp.float32), jax.random.normal(jax.random.key(0), oracles.OBS_SHAPE)
    map = occlusion(lambda p, x: (p * x).sum(), lambda out: out, 1, 1)(w, obs)
    np.testing.assert_allclose(map, (w * obs).sum(-1), atol=1e-2)


def test_refusals():
    obs = jnp.asarray(oracles.frame())
    with pytest.raises(ValueError, match="at least one pixel"):
        occlusion(tiny.f, scores.value, 0, 1)
    with pytest.raises(ValueError, match="does not fit a frame of 11"):
        occlusion(tiny.f, scores.value, 12, 1)(tiny.params(), obs)
    with pytest.raises(ValueError, match=r"\[H W C\]"):
        occlusion(tiny.f, scores.value, 2, 1)(tiny.params(), obs[None])
