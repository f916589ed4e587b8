"""Gaze metrics against scipy and against the definition, pair by pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import entropy

from rljax_viz.images import mirror_resize
from rljax_viz.measure import METRICS, kl_divergence, nss, shuffled_auc, shuffled_auc_expected

SHAPE = (42, 31)
KEY = jax.random.key(0)


def saliency(seed=0, levels=None):
    values = np.random.default_rng(seed).random(SHAPE).astype(np.float32) + np.float32(0.01)
    return values if levels is None else np.floor(values * levels).astype(np.float32) / levels + np.float32(0.1)


def fixations(seed=1, count=9, shape=SHAPE):
    map = np.zeros(shape, np.int32)
    rng = np.random.default_rng(seed)
    np.add.at(map, (rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)), 1)
    map[5, 7] += 2  # looked at three times
    return map


OTHERS = np.stack([fixations(seed, 20) for seed in range(10, 20)])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_nss_is_the_weighted_mean_of_the_standardised_map(scale):
    s, f = saliency() * scale, fixations()
    want = np.average((s.astype(np.float64) - s.mean(dtype=np.float64)) / s.std(dtype=np.float64), weights=f)
    np.testing.assert_allclose(nss(s, f), want, rtol=1e-4)
    assert abs(want) < 3 and float(nss(f.astype(np.float32), f)) > 5  # a map that is the fixations sees them


@pytest.mark.parametrize("scale", [1e-3, 1e20, 1e37])
@pytest.mark.parametrize("offset", [0.0, 1.0, -1.0])
def test_nss_knows_neither_scale_nor_offset(scale, offset):
    s, f = ((saliency() * 1e-2 + offset) * scale / 1.02).astype(np.float32), fixations()
    exact = s.astype(np.float64)
    want = np.average((exact - exact.mean()) / exact.std(), weights=f)
    np.testing.assert_allclose(nss(s, f), want, rtol=2e-4)


def test_nss_keeps_its_digits_far_from_zero():
    noise, f = np.random.default_rng(3).normal(size=SHAPE), fixations()
    s = (1000 + 0.01 * noise).astype(np.float32)
    exact = s.astype(np.float64)
    np.testing.assert_allclose(nss(s, f), np.average((exact - exact.mean()) / exact.std(), weights=f), rtol=1e-4)


def test_constants_are_undefined_at_any_size_and_what_varies_is_not():
    f = fixations(shape=(210, 160))
    levels = np.array([np.log(2), 0.2, 0.3, 0.6, 0.7, 0.123, 0.917, 1e-5, 1e20], np.float32)
    resized = [mirror_resize(np.full((side, side), level), (210, 160)) for side in (9, 84) for level in levels]
    assert any(np.ptp(np.asarray(map)) > 0 for map in resized)  # by rounding

    @jax.jit
    def judged(map):
        return nss(map, f), shuffled_auc(KEY, map, f, f[None], 1), shuffled_auc_expected(map, f, f[None])

    for map in (*resized, *(np.full((210, 160), level) for level in levels)):
        assert np.isnan(judged(map)).all(), map[0, 0]
    assert np.isnan(nss(np.full((210, 160), 0.3), f))  # not compiled as one program
    nearly = np.float32(0.7) + np.float32(1e-5) * (f > 0)
    assert all(np.isfinite(judged(nearly.astype(np.float32)))) and float(nss(nearly, f)) > 5


@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_kl_divergence_is_that_of_scipy(sigma):
    s, f = saliency(), fixations()
    blurred = gaussian_filter(f.astype(np.float64), sigma, mode="mirror", truncate=4)
    np.testing.assert_allclose(kl_divergence(s, f, sigma), entropy(blurred.ravel(), s.astype(np.float64).ravel()), rtol=1e-4)
    assert abs(float(kl_divergence(blurred + 1e-7, f, sigma))) < 1e-2 < float(kl_divergence(s, f, sigma))
    for scale in (7, 1e20, 3e38):  # sums of the last overflow
        large = (s / s.max() * np.float64(scale)).astype(np.float32)
        np.testing.assert_allclose(kl_divergence(large, f, sigma), kl_divergence(s, f, sigma), rtol=1e-4)


def area(s, f, others):
    """Mann and Whitney's U over all pairs of a fixation here and one elsewhere."""
    here = np.repeat(s.ravel(), f.ravel())
    there = np.repeat(s.ravel(), others.sum(0).ravel())
    return ((here[:, None] > there) + 0.5 * (here[:, None] == there)).mean()


@pytest.mark.parametrize("levels", [None, 4])
def test_shuffled_auc_tends_to_the_area_over_all_pairs(levels):
    s, f = saliency(levels=levels), fixations()
    want = area(s, f, OTHERS)
    np.testing.assert_allclose(shuffled_auc_expected(s, f, OTHERS), want, rtol=1e-5)
    drawn = jax.vmap(lambda key: shuffled_auc(key, s, f, OTHERS, splits=400))(jax.random.split(KEY, 5)).tolist()
    assert len(set(drawn)) == 5  # draws, with another key others
    np.testing.assert_allclose(np.mean(drawn), want, atol=4 * 0.3 / np.sqrt(5 * 400 * f.sum()))


def test_shuffled_auc_draws_as_often_as_it_is_told():
    s, f = saliency(), fixations()
    keys = jax.random.split(KEY, 60)
    spread = [np.std(jax.vmap(lambda key, n=n: shuffled_auc(key, s, f, OTHERS, n))(keys)) for n in (1, 100)]
    assert 5 < spread[0] / spread[1] < 20  # the square root of 100, about


def test_knowing_where_people_look_in_general_is_worth_nothing():
    f = fixations(3, 4000)
    prior = gaussian_filter(OTHERS.sum(0).astype(np.float32), 3) + 1e-3
    same = np.stack([f, f])
    np.testing.assert_allclose(shuffled_auc_expected(prior, f, same), 0.5, atol=1e-6)
    few = fixations(3)
    assert float(shuffled_auc_expected(few.astype(np.float32), few, OTHERS)) > 0.9  # one pixel is looked at in every frame


OF_GAZE = ("nss", "kl_divergence", "shuffled_auc", "shuffled_auc_expected")  # the others compare maps
NONE = np.zeros(SHAPE, np.int32)
HOLE = np.where(fixations() > 0, 0, saliency())
BROKEN = np.where(fixations() > 0, np.nan, saliency())


@pytest.mark.parametrize(
    ("s", "f", "undefined"),
    [
        (saliency(), NONE, {"nss", "kl_divergence", "shuffled_auc", "shuffled_auc_expected"}),
        (BROKEN, fixations(), {"nss", "kl_divergence", "shuffled_auc", "shuffled_auc_expected"}),
        (np.full(SHAPE, np.inf), fixations(), {"nss", "kl_divergence", "shuffled_auc", "shuffled_auc_expected"}),
        (np.full(SHAPE, 0.5), fixations(), {"nss", "shuffled_auc", "shuffled_auc_expected"}),
        (np.zeros(SHAPE), fixations(), {"nss", "kl_divergence", "shuffled_auc", "shuffled_auc_expected"}),
        (HOLE, fixations(), {"kl_divergence"}),
        (saliency() - 0.5, fixations(), {"kl_divergence"}),
        (saliency(), fixations(), set()),
    ],
    ids=["nobody looks", "nan", "infinite", "constant", "zero", "a hole", "negative", "well"],
)
def test_where_a_metric_is_undefined_it_is_nan(s, f, undefined):
    found = {name for name in OF_GAZE if np.isnan(call(name, METRICS[name], s, f))}
    assert found == undefined


def call(name, metric, s, f):
    others = (OTHERS,) if name.startswith("shuffled") else ()
    return metric(*((KEY,) if name == "shuffled_auc" else ()), s, f, *others)


def test_nobody_looks_elsewhere():
    for name in ("shuffled_auc", "shuffled_auc_expected"):
        arguments = (KEY,) if name == "shuffled_auc" else ()
        assert np.isnan(METRICS[name](*arguments, saliency(), fixations(), OTHERS * 0))


def test_a_constant_map_has_the_divergence_of_the_uniform_one():
    f = fixations()
    blurred = gaussian_filter(f.astype(np.float64), 5, mode="mirror", truncate=4)
    want = entropy(blurred.ravel(), np.ones(blurred.size))
    np.testing.assert_allclose(kl_divergence(np.full(SHAPE, 0.3), f), want, rtol=1e-4)


@pytest.mark.parametrize("name", METRICS)
def test_vmap_and_jit_are_a_loop(name):
    maps, looks = jnp.stack([saliency(k) for k in range(4)]), jnp.stack([fixations(k, 3 + k) for k in range(4)])
    metric = METRICS[name]

    def one(key, s, f):
        return metric(*((key,) if name == "shuffled_auc" else ()), s, f, *((OTHERS,) if name.startswith("shuf") else ()))

    keys = jax.random.split(KEY, 4)
    got = jax.jit(jax.vmap(one))(keys, maps, looks)
    np.testing.assert_allclose(got, [one(k, s, f) for k, s, f in zip(keys, maps, looks, strict=True)], rtol=1e-5)


def test_other_sizes_are_refused():
    for metric in (nss, kl_divergence):
        with pytest.raises(ValueError, match=r"the same size \[H W\], got \(42, 31\) and \(42, 30\)"):
            metric(saliency(), fixations()[:, :-1])
    with pytest.raises(ValueError, match=r"other_fixations are \[N H W\]"):
        shuffled_auc(KEY, saliency(), fixations(), OTHERS[0])
    for splits in (0, -1, 2.5, 2.0, None):
        with pytest.raises(ValueError, match=r"splits is .* a whole number from 1, e.g. 100; got"):
            shuffled_auc(KEY, saliency(), fixations(), OTHERS, splits)
    with pytest.raises(ValueError, match=r"jax.vmap takes many"):
        nss(OTHERS.astype(np.float32), OTHERS)
