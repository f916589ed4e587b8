import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.agents import minibatches


def test_every_sample_once_and_fields_stay_together():
    batch = {"a": jnp.arange(24).reshape(6, 4), "b": 10 * jnp.arange(48).reshape(6, 4, 2)}
    parts = minibatches(jax.random.key(0), batch, 3)
    assert parts["a"].shape == (3, 8) and parts["b"].shape == (3, 8, 2)
    np.testing.assert_array_equal(np.sort(parts["a"].ravel()), np.arange(24))
    np.testing.assert_array_equal(parts["b"][..., 0], 20 * parts["a"])


def test_order_comes_from_the_key():
    batch = jnp.arange(16).reshape(4, 4)
    one, same, other = (minibatches(jax.random.key(k), batch, 2) for k in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="24 samples do not divide into 5 minibatches"):
        minibatches(jax.random.key(0), jnp.zeros((6, 4)), 5)
