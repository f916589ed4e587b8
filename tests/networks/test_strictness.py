"""This room is under strict dtype promotion (see conftest.py)."""

import jax.numpy as jnp
import pytest


def test_dtype_promotion_raises():
    with pytest.raises(Exception, match="strict"):
        jnp.ones(3, jnp.float32) + jnp.ones(3, jnp.int32)
