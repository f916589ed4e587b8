import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import input_x_gradient, scores
from tests import oracles
from tests.explain import tiny


def test_equals_the_hand_written_backward_pass():
    obs = oracles.frame()
    map = jax.jit(input_x_gradient(tiny.f, scores.logit(2)))(tiny.params(), jnp.asarray(obs))
    tiny.close(map, obs * oracles.gradient(oracles.weights(), obs, "logit:2"))


def test_without_biases_it_is_complete():
    # ReLU networks without biases are homogeneous: score(obs) = obs . gradient (Euler).
    params = tiny.params()
    params = {name: {"w": p["w"], "b": jnp.zeros_like(p["b"])} for name, p in params.items()}
    obs = jnp.asarray(oracles.frame())
    map = input_x_gradient(tiny.f, scores.value)(params, obs)
    np.testing.assert_allclose(map.sum(), tiny.f(params, obs).value, rtol=1e-4)


def test_refuses_a_score_that_is_not_one_number():
    with pytest.raises(ValueError, match="ONE floating number"):
        input_x_gradient(tiny.f, lambda out: out.logits)(tiny.params(), jnp.asarray(oracles.frame()))
