import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import gradient, smooth, smooth_grad, var_grad
from tests import oracles
from tests.explain import tiny

OBS = jnp.asarray(oracles.frame(), jnp.float32)
KEY = jax.random.key(3)


def cubic(params, obs):
    return (obs**3).sum() * params


@pytest.mark.parametrize("samples", [1, 7])
def test_mean_and_population_variance_over_the_same_noise(samples):
    obs = jnp.array([[[1.0, -2.0]], [[0.5, 3.0]]])
    explain = gradient(cubic, lambda out: out)
    draws = [np.asarray(jax.random.normal(k, obs.shape), np.float64) for k in jax.random.split(KEY, samples)]
    slopes = np.stack([2 * 3 * (np.asarray(obs) + 0.3 * n) ** 2 for n in draws])
    np.testing.assert_allclose(smooth(explain, 0.3, samples)(KEY, jnp.float32(2), obs), slopes.mean(0), rtol=1e-5)
    got = var_grad(explain, 0.3, samples)(KEY, jnp.float32(2), obs)
    np.testing.assert_allclose(got, slopes.var(0), rtol=1e-4, atol=1e-3)


def test_of_a_linear_function_it_is_the_gradient_and_its_variance_nothing():
    w = jax.random.normal(KEY, OBS.shape)
    explain = gradient(lambda params, obs: (params * obs).sum(), lambda out: out)
    np.testing.assert_allclose(smooth(explain, 38.0, 5)(KEY, w, OBS), w, rtol=1e-5)
    assert np.abs(var_grad(explain, 38.0, 5)(KEY, w, OBS)).max() < 1e-9


def test_without_noise_it_is_the_explanation():
    explain = tiny.explain_of("guided_backprop")
    tiny.close(smooth(explain, 0.0, 3)(KEY, tiny.params(), OBS), np.asarray(explain(tiny.params(), OBS)))


def test_of_random_frames_a_key_each():
    explain = jax.jit(jax.vmap(smooth_grad(tiny.f, lambda out: out.value), (0, None, None)))
    maps = explain(jax.random.split(KEY, 2), tiny.params(), OBS)
    assert not np.allclose(maps[0], maps[1])


@pytest.mark.parametrize("transform", [smooth, var_grad])
def test_memory_does_not_grow_with_samples(transform):
    def temporary(samples):
        explain = transform(tiny.explain_of("gradient"), 38.0, samples)
        return jax.jit(explain).lower(KEY, tiny.params(), OBS).compile().memory_analysis().temp_size_in_bytes

    assert temporary(500) < temporary(5) + 4 * 500 * 4  # keys and counts, no maps


def test_refusals():
    with pytest.raises(ValueError, match="samples=0"):
        smooth(tiny.explain_of("gradient"), 1.0, 0)
    with pytest.raises(ValueError, match="standard deviation"):
        var_grad(tiny.explain_of("gradient"), -1.0, 3)


def test_smooth_grad_is_the_mean_gradient_and_draws_once_where_the_key_is_one():
    obs = jnp.stack([OBS, OBS[::-1], OBS + 1])
    ours = jax.jit(jax.vmap(smooth_grad(tiny.f, lambda out: out.value, 20.0, 6), (None, None, 0)))
    reference = smooth(gradient(tiny.f, lambda out: out.value), 20.0, 6)
    for got, one in zip(ours(KEY, tiny.params(), obs), obs, strict=True):
        tiny.close(got, np.asarray(reference(KEY, tiny.params(), one)), 1e-4)
    noise = str(jax.make_jaxpr(ours)(KEY, tiny.params(), obs))
    assert "erf_inv" in noise and f"f32[3,{','.join(map(str, OBS.shape))}] = erf_inv" not in noise
