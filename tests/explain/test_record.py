import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import gradient, guided_backprop, record, scores
from tests import oracles
from tests.explain import tiny


def test_sets_the_action_and_nothing_else():
    p, obs = tiny.params(), jnp.asarray(oracles.frame())
    out, recorded = tiny.f(p, obs), record(tiny.f)(p, obs, jnp.int32(3))
    assert recorded.action == 3
    np.testing.assert_array_equal(recorded.logits, out.logits)
    np.testing.assert_array_equal(recorded.value, out.value)


def test_the_chosen_action_of_every_frame_in_one_vmap():
    p = tiny.params()
    obs = jnp.stack([jnp.asarray(oracles.frame(s)) for s in range(4)])
    actions = jnp.array([2, 0, 3, 3])
    for method in (gradient, guided_backprop):
        maps = jax.jit(jax.vmap(method(record(tiny.f), scores.chosen_logit), (None, 0, 0)))(p, obs, actions)
        for map, x, a in zip(maps, obs, actions, strict=True):
            np.testing.assert_allclose(map, method(tiny.f, scores.logit(int(a)))(p, x), rtol=1e-4, atol=1e-9)


def test_rest_passes_through():
    def f(params, obs, carry):
        return tiny.Output(value=obs.sum() * carry, logits=params * obs)

    out = record(f)(jnp.ones(2), jnp.ones(2), jnp.int32(1), jnp.float32(5))
    assert (out.value, out.action) == (10, 1)


def test_refuses_an_output_without_the_field():
    with pytest.raises(TypeError, match="NamedTuple with a field `action`"):
        record(lambda params, obs: {"logits": obs})(None, jnp.ones(2), 1)
