import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import gradient, guided_backprop, scores
from tests import oracles
from tests.explain import tiny


@pytest.mark.parametrize("target", ["value", "logit:1"])
def test_equals_the_hand_written_backward_pass(target):
    for seed in range(3):
        obs = oracles.frame(seed)
        map = jax.jit(guided_backprop(tiny.f, scores.parse(target)))(tiny.params(), jnp.asarray(obs))
        tiny.close(map, oracles.gradient(oracles.weights(), obs, target, "guided"))


def test_is_not_the_gradient_but_equals_it_where_everything_is_positive():
    obs = jnp.asarray(oracles.frame())
    score = scores.value
    plain, guided = (m(tiny.f, score)(tiny.params(), obs) for m in (gradient, guided_backprop))
    assert np.abs(plain - guided).max() > 0.1 * np.abs(plain).max()
    positive = jax.tree.map(jnp.abs, tiny.params())
    plain, guided = (m(tiny.f, score)(positive, obs) for m in (gradient, guided_backprop))
    np.testing.assert_allclose(guided, plain, rtol=1e-5)


def test_one_relu_by_hand():
    # score = -relu(2 x0) + relu(3 x1) + relu(x2) at x = (1, 1, -1): one negative slope, one silent unit.
    def f(params, obs):
        return (params * jax.nn.relu(obs * jnp.array([2.0, 3.0, 1.0]))).sum()

    map = guided_backprop(f, lambda out: out)(jnp.array([-1.0, 1.0, 1.0]), jnp.array([1.0, 1.0, -1.0]))
    np.testing.assert_array_equal(map, [0, 3, 0])


def test_refuses_a_function_without_relus():
    with pytest.raises(ValueError, match="no ReLU"):
        guided_backprop(lambda params, obs: jnp.tanh(params * obs).sum(), lambda out: out)(jnp.ones(3), jnp.ones(3))
