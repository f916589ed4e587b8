"""The L2 pool of CoinRun, against numpy and at its sharp edge."""

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.networks.coinrun import l2_pool
from tests.networks import oracles


def test_l2_pool_is_the_root_mean_square():
    x = np.random.default_rng(0).normal(size=(6, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(l2_pool(x), oracles.l2_pool(x.astype(np.float64)), rtol=1e-5)


def test_odd_edges_average_what_is_there():
    x = jnp.arange(1.0, 10.0).reshape(3, 3, 1)
    expected = [[np.sqrt((1 + 4 + 16 + 25) / 4), np.sqrt((9 + 36) / 2)], [np.sqrt((49 + 64) / 2), 9]]
    np.testing.assert_allclose(l2_pool(x)[..., 0], expected, rtol=1e-6)


def test_gradient_is_finite_at_zero():
    x = jnp.zeros((4, 4, 2)).at[0, 0, 0].set(2.0)
    slope = jax.grad(lambda x: l2_pool(x).sum())(x)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(slope[0, 0, 0], 0.5, rtol=1e-6)  # d sqrt(x^2 / 4) / dx
    assert not slope[2:, 2:].any()
