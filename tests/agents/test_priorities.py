"""Draws in proportion to priorities, against numpy's cumulative sum."""

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.agents import draw, importance, make_priorities, put


def filled(value: np.ndarray):
    return put(make_priorities(len(value)), jnp.arange(len(value)), jnp.asarray(value, jnp.float32))


def test_draws_are_those_of_the_cumulative_sum():
    value = np.random.default_rng(0).random(103) * (np.random.default_rng(1).random(103) < 0.6)
    key, batch = jax.random.key(3), 64
    index, probability = jax.jit(draw, static_argnums=2)(key, filled(value), batch)
    wanted = (np.arange(batch) + np.asarray(jax.random.uniform(key, (batch,)))) / batch * value.sum()
    np.testing.assert_array_equal(index, np.searchsorted(np.cumsum(value), wanted, side="right"))
    np.testing.assert_allclose(probability, value[np.asarray(index)] / value.sum(), rtol=1e-5)


def test_nothing_with_priority_zero_is_drawn():
    value = np.zeros(50)
    value[[0, 17, 49]] = 1e-4, 1e3, 1e-4
    drawn = jax.vmap(lambda k: draw(k, filled(value), 32)[0])(jax.random.split(jax.random.key(0), 200))
    assert 17 in np.unique(drawn) and set(np.unique(drawn).tolist()) <= {0, 17, 49}


def test_frequencies():
    value = np.array([1.0, 2.0, 0.0, 5.0])
    drawn = np.asarray(jax.vmap(lambda k: draw(k, filled(value), 8)[0])(jax.random.split(jax.random.key(0), 500)))
    np.testing.assert_allclose(np.bincount(drawn.reshape(-1), minlength=4) / drawn.size, value / 8, atol=0.01)


def test_importance_is_one_for_the_rarest_of_the_batch():
    weight = importance(jnp.array([0.1, 0.4, 0.0]), jnp.asarray(10), 0.5)
    np.testing.assert_allclose(weight, [1.0, 0.5, 0.0], rtol=1e-6)


def test_the_largest_priority_is_kept():
    priorities = put(put(make_priorities(9), jnp.arange(2), jnp.array([3.0, 0.5])), jnp.array([0]), jnp.array([0.1]))
    assert priorities.largest == 3.0 and priorities.value.sum() == np.float32(0.6)
