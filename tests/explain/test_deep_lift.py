import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import deep_lift, input_x_gradient, scores
from rljax_viz.transforms import rescaled
from tests import oracles
from tests.explain import tiny


def by_hand(obs, baseline, target="value"):
    """The backward pass of the oracle with (relu(a) - relu(b)) / (a - b) for the slope of each ReLU."""
    weights = oracles.weights()
    here, there = (oracles.forward(weights, np.broadcast_to(np.asarray(x, np.float64), obs.shape)) for x in (obs, baseline))
    apart = {n: here[f"{n}_in"] - there[f"{n}_in"] for n in ("conv1", "conv2", "fc")}
    slopes = {id(here[f"{n}_in"]): (here[n] - there[n]) / gap for n, gap in apart.items()}
    rules = oracles.RELU_RULES
    oracles.RELU_RULES = {**rules, "rescale": lambda x, g: g * slopes[id(x)]}
    try:
        return (obs - np.asarray(baseline, np.float64)) * oracles.backward(weights, here, target, "rescale")
    finally:
        oracles.RELU_RULES = rules


@pytest.mark.parametrize("baseline", [0.0, 100.0, oracles.frame(5).astype(np.float32)])
@pytest.mark.parametrize("target", ["value", "logit:2"])
def test_equals_the_rescale_rule_by_hand(baseline, target):
    obs = oracles.frame(1)
    map = jax.jit(deep_lift(tiny.f, scores.parse(target), baseline))(tiny.params(), jnp.asarray(obs))
    tiny.close(map, by_hand(obs, baseline, target), 1e-4)


@pytest.mark.parametrize("target", ["value", "logit:2", "difference:0,3"])
def test_sums_to_the_difference_of_the_scores(target):
    obs, other, score = jnp.asarray(oracles.frame(1)), jnp.asarray(oracles.frame(4)), scores.parse(target)
    map = deep_lift(tiny.f, score, other.astype(jnp.float32))(tiny.params(), obs)
    np.testing.assert_allclose(map.sum(), score(tiny.f(tiny.params(), obs)) - score(tiny.f(tiny.params(), other)), rtol=1e-3)


def test_beside_itself_there_is_nothing_and_no_nan():
    obs = jnp.asarray(oracles.frame(1), jnp.float32)
    assert not np.asarray(deep_lift(tiny.f, scores.value, obs)(tiny.params(), obs)).any()
    near = deep_lift(tiny.f, scores.value, obs + 1e-3)(tiny.params(), obs)
    assert np.isfinite(near).all()


def test_of_one_relu_at_a_zero_baseline_it_is_input_times_gradient():
    w = jax.random.normal(jax.random.key(0), oracles.OBS_SHAPE)
    f, obs = lambda w, x: jax.nn.relu((w * x).sum()), jnp.abs(w)
    for sign in (1, -1):
        map = deep_lift(f, lambda out: out)(sign * w, obs)
        np.testing.assert_allclose(map, input_x_gradient(f, lambda out: out)(sign * w, obs), atol=1e-5)


def test_the_value_is_that_of_the_function_and_scans_are_reached():
    def f(x):
        return jax.lax.scan(lambda h, w: (jax.nn.relu(h * w - 0.1), None), x, jnp.array([0.5, -1.5, 2.0]))[0].sum()

    x, b = jnp.array([1.0, -2.0, 3.0]), jnp.array([0.2, 0.1, -0.3])
    value, slope = jax.value_and_grad(lambda x: rescaled(f)(x, b))(x)
    np.testing.assert_allclose(value, f(x))
    np.testing.assert_allclose(((x - b) * slope).sum(), f(x) - f(b), rtol=1e-5)


def test_refusals():
    obs = jnp.asarray(oracles.frame())
    with pytest.raises(ValueError, match="no ReLU"):
        deep_lift(lambda p, x: x.sum(), lambda out: out)(None, obs)
    with pytest.raises(ValueError, match="the baseline has shape"):
        deep_lift(tiny.f, scores.value, jnp.ones(3))(tiny.params(), obs)
