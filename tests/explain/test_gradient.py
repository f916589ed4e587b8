import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import gradient, scores
from tests import oracles
from tests.explain import tiny


@pytest.mark.parametrize("target", ["value", "logit:0", "logit:3"])
def test_equals_the_hand_written_backward_pass(target):
    for seed in range(3):
        obs = oracles.frame(seed)
        map = jax.jit(gradient(tiny.f, scores.parse(target)))(tiny.params(), jnp.asarray(obs))
        tiny.close(map, oracles.gradient(oracles.weights(), obs, target))


def test_of_a_linear_network_is_its_weights():
    w = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 2)), jnp.float32)
    map = gradient(lambda params, obs: (params * obs).sum(), lambda out: out)(w, jnp.ones((3, 4, 2), jnp.uint8))
    np.testing.assert_array_equal(map, w)


def test_only_obs_is_differentiated_and_rest_passes_through():
    def f(params, obs, action, carry):
        assert action.dtype == jnp.int32 and carry["h"].dtype == jnp.bool_
        return (obs * params["w"]).sum(0)[action] * jnp.where(carry["h"], 2.0, 1.0) + params["steps"]

    params = {"w": jnp.arange(6.0).reshape(2, 3), "steps": jnp.asarray(5.0)}
    carry = {"h": jnp.asarray(True)}
    map = gradient(f, lambda out: out)(params, jnp.ones((2, 3)), jnp.int32(1), carry)
    np.testing.assert_array_equal(map, [[0, 2, 0], [0, 8, 0]])


def test_f_sees_float32_of_the_same_values():
    seen = []

    def f(params, obs):
        seen.append(obs.dtype)
        return obs.sum() * params

    for dtype in (jnp.uint8, jnp.float32, jnp.bfloat16, jnp.bool_):
        assert gradient(f, lambda out: out)(jnp.float32(2), jnp.ones((2, 2), dtype)).dtype == jnp.float32
    assert set(seen) == {jnp.dtype("float32")}


def test_refuses_a_score_that_is_not_one_number():
    obs = jnp.asarray(oracles.frame())
    with pytest.raises(ValueError, match=r"ONE floating number, this one gave shape \(4,\)"):
        gradient(tiny.f, lambda out: out.logits)(tiny.params(), obs)
    with pytest.raises(ValueError, match="of int32"):
        gradient(tiny.f, lambda out: out.logits.argmax())(tiny.params(), obs)
