import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import expected_gradients, integrated_gradients, scores
from tests import oracles
from tests.explain import tiny

OBS = jnp.asarray(oracles.frame(), jnp.float32)
KEY = jax.random.key(3)


def test_of_a_linear_function_it_is_the_difference_to_the_mean_of_the_drawn_frames():
    frames = jnp.array([[0.0, 0.0], [4.0, 8.0]])[:, None, :, None]
    obs, w = jnp.array([[[5.0], [7.0]]]), jnp.array([[[2.0], [-1.0]]])
    map = expected_gradients(lambda p, x: (p * x).sum(), lambda out: out, frames, samples=2000)(KEY, w, obs)
    np.testing.assert_allclose(np.ravel(map), [2 * (5 - 2), -(7 - 4)], rtol=0.1)


def test_with_one_baseline_it_comes_to_integrated_gradients():
    baseline = jnp.asarray(oracles.frame(5), jnp.float32)
    explain = jax.jit(expected_gradients(tiny.f, scores.value, baseline[None], samples=4000))
    want = np.asarray(integrated_gradients(tiny.f, scores.value, 200, baseline)(tiny.params(), OBS))
    got = np.asarray(explain(KEY, tiny.params(), OBS))
    assert np.abs(got - want).max() < 0.05 * np.abs(want).max()


def test_memory_does_not_grow_with_samples():
    def temporary(samples):
        explain = expected_gradients(tiny.f, scores.value, np.zeros((4, *OBS.shape), np.uint8), samples)
        return jax.jit(explain).lower(KEY, tiny.params(), OBS).compile().memory_analysis().temp_size_in_bytes

    assert temporary(500) < temporary(5) + 4 * 4 * 500  # two keys a sample


def test_refusals():
    with pytest.raises(ValueError, match="samples >= 1"):
        expected_gradients(tiny.f, scores.value, OBS[None], samples=0)
    for wrong in (OBS, OBS[None, :5], OBS[None][:0]):
        with pytest.raises(ValueError, match="baselines are frames"):
            expected_gradients(tiny.f, scores.value, wrong)(KEY, tiny.params(), OBS)
