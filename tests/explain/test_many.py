import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import (
    METHODS,
    explain_many,
    g2_grad_cam,
    gradient,
    guided_backprop,
    input_x_gradient,
    record,
    scores,
)
from tests import oracles
from tests.explain import tiny


def test_each_map_is_what_its_method_gives_alone():
    p, obs = tiny.params(), jnp.asarray(oracles.frame())
    together = explain_many({name: tiny.explain_of(name) for name in METHODS})(p, obs)
    assert together.keys() == METHODS.keys()
    for name in METHODS:
        map = np.asarray(tiny.compiled(name)(p, obs))
        np.testing.assert_allclose(together[name], map, atol=1e-5 * np.abs(map).max(), err_msg=name)


def test_what_they_have_in_common_is_computed_once():
    p, obs = tiny.params(), jnp.asarray(oracles.frame())
    explains = {
        "gradient": gradient(tiny.f, scores.value),
        "input_x_gradient": input_x_gradient(tiny.f, scores.value),
        "guided_backprop": guided_backprop(tiny.f, scores.value),
        "g2_grad_cam": g2_grad_cam(tiny.f, scores.value, "conv1"),
    }

    def flops(explain):
        return jax.jit(explain).lower(p, obs).compile().cost_analysis()["flops"]

    apart = {name: flops(explain) for name, explain in explains.items()}
    pair = flops(explain_many({n: explains[n] for n in ("gradient", "input_x_gradient")}))
    assert pair < 1.05 * apart["gradient"]
    assert flops(explain_many(explains)) < 0.7 * sum(apart.values())


def test_vmap_rest_and_random_methods():
    def noisy(key, params, obs, action):
        return jax.random.normal(key, obs.shape)

    key = jax.random.key(0)
    explain = explain_many({
        "chosen": gradient(record(tiny.f), scores.chosen_logit), "noise": functools.partial(noisy, key)})
    obs = jnp.stack([jnp.asarray(oracles.frame(s)) for s in range(3)])
    maps = jax.vmap(explain, (None, 0, 0))(tiny.params(), obs, jnp.array([0, 1, 2]))
    assert maps["chosen"].shape == maps["noise"].shape == obs.shape
    np.testing.assert_array_equal(maps["noise"][0], noisy(key, None, obs[0], None))


def test_traces_once():
    traces = []

    def f(params, obs):
        traces.append(1)
        return tiny.f(params, obs)

    explain = explain_many({"gradient": gradient(f, scores.value)})
    for seed in range(3):
        explain(tiny.params(seed), jnp.asarray(oracles.frame(seed)))
    assert len(traces) == 1


def test_refuses_nothing():
    with pytest.raises(ValueError, match="no explanation"):
        explain_many({})
