import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rljax_viz.images import mirror_resize
from rljax_viz.measure import pearson, ranks, spearman


def test_both_are_scipys():
    rng = np.random.default_rng(0)
    left = rng.normal(size=(12, 9)).astype(np.float32)
    right = np.round(left + rng.normal(size=left.shape), 0).astype(np.float32)  # many equal values
    np.testing.assert_allclose(pearson(left, right), stats.pearsonr(left.ravel(), right.ravel())[0], rtol=1e-5)
    np.testing.assert_allclose(spearman(left, right), stats.spearmanr(left.ravel(), right.ravel())[0], rtol=1e-5)
    np.testing.assert_array_equal(ranks(right.ravel()), stats.rankdata(right.ravel()))
    np.testing.assert_allclose(pearson(left * 1e-25, right * 1e20), pearson(left, right), rtol=1e-4)
    np.testing.assert_allclose(spearman(np.exp(left), right), spearman(left, right), rtol=1e-6)  # blind to rescaling


def test_maps_far_from_zero_keep_their_digits():
    rng = np.random.default_rng(0)
    left, right = (np.float32(1000) + rng.normal(0, 0.01, (20, 20)).astype(np.float32) for _ in range(2))
    want = stats.pearsonr(left.ravel().astype(float), right.ravel().astype(float))[0]
    np.testing.assert_allclose(pearson(left, right), want, rtol=1e-3)
    huge = np.float32([[3e37, -3e37, 1e37, 0]])
    np.testing.assert_allclose(pearson(huge, huge / 1e37), 1, rtol=1e-5)


def test_undefined_is_nan_under_vmap_too():
    flat, slope, hole = jnp.ones((3, 3)), jnp.arange(9.0).reshape(3, 3), jnp.full((3, 3), jnp.nan)
    for metric in (pearson, spearman):
        found = jax.jit(jax.vmap(metric, (0, None)))(jnp.stack([slope, -slope, flat, hole]), slope)
        np.testing.assert_allclose(found, [1, -1, np.nan, np.nan], atol=1e-6)


def test_maps_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match=r"two maps of one shape are compared, got \(2, 2\) and \(3, 3\)"):
        pearson(jnp.ones((2, 2)), jnp.ones((3, 3)))


def test_a_constant_map_of_another_size_has_no_correlation():
    flat = mirror_resize(np.full((9, 9), 0.7, np.float32), (210, 160))
    slope = np.arange(33600.0, dtype=np.float32).reshape(210, 160)
    assert np.ptp(np.asarray(flat)) > 0  # it varies, by rounding
    assert np.isnan(pearson(flat, slope)) and np.isnan(spearman(slope, flat))
