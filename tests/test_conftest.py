"""The strictness that conftest.py and pyproject.toml promise is really on."""

import warnings

import jax
import jax.numpy as jnp
import pytest


def test_two_cpu_devices():
    assert len(jax.devices("cpu")) == 2


def test_rank_promotion_raises():
    with pytest.raises(ValueError, match="rank"):
        jnp.ones(3) + jnp.ones((2, 3))


def test_warnings_are_errors():
    with pytest.raises(UserWarning):
        warnings.warn("unread", stacklevel=1)


def test_matrix_products_are_float32():
    x = jnp.full((64, 64), 1.0 + 2.0**-12)  # TF32 would round the second term away
    assert abs(float((x @ x)[0, 0]) / 64 - (1.0 + 2.0**-12) ** 2) < 1e-6
