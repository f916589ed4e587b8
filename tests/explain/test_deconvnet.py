import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import deconvnet, scores
from tests import oracles
from tests.explain import tiny


@pytest.mark.parametrize("target", ["value", "logit:1"])
def test_equals_the_hand_written_backward_pass(target):
    obs = oracles.frame()
    map = jax.jit(deconvnet(tiny.f, scores.parse(target)))(tiny.params(), jnp.asarray(obs))
    tiny.close(map, oracles.gradient(oracles.weights(), obs, target, "deconv"))


def test_looks_at_what_comes_back_and_not_at_what_went_in():
    def f(params, obs):
        return (params * jax.nn.relu(obs)).sum()

    map = deconvnet(f, lambda out: out)(jnp.array([-1.0, 1.0, 1.0]), jnp.array([1.0, 1.0, -1.0]))
    np.testing.assert_array_equal(map, [0, 1, 1])


def test_refuses_a_function_without_relus():
    with pytest.raises(ValueError, match="no ReLU"):
        deconvnet(lambda params, obs: jnp.tanh(params * obs).sum(), lambda out: out)(jnp.ones(3), jnp.ones(3))
