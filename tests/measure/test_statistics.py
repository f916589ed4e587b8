"""Interquartile mean and bootstrap intervals, against scipy and against what is known of them."""

import numpy as np
import pytest
from scipy import stats

from rljax_viz.measure import Interval, interquartile_mean, probability_of_improvement, stratified_bootstrap


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 10, 101])
def test_interquartile_mean_is_the_trimmed_mean(count):
    scores = np.random.default_rng(count).normal(size=(count, 3))
    np.testing.assert_allclose(interquartile_mean(scores), stats.trim_mean(scores, 0.25, axis=None), rtol=1e-12)
    np.testing.assert_allclose(interquartile_mean(scores, 0), stats.trim_mean(scores, 0.25, axis=0), rtol=1e-12)
    many = np.stack([scores, 2 * scores])
    np.testing.assert_allclose(interquartile_mean(many, (1, 2)), interquartile_mean(scores) * np.array([1, 2]), rtol=1e-12)


def test_an_outlier_moves_the_mean_and_not_the_interquartile_mean():
    assert interquartile_mean([1, 2, 3, 1e9]) == 2.5
    assert np.isnan(interquartile_mean([1, np.nan, 2]))
    with pytest.raises(ValueError, match="of no scores: got shape"):
        interquartile_mean(np.zeros((0, 2)))


def test_the_interval_of_a_mean_is_that_of_its_normal_law():
    scores = np.random.default_rng(0).normal(7, 2, 400)
    found = stratified_bootstrap(scores, lambda drawn: drawn.mean((1, 2)), resamples=4000)
    assert found.value == pytest.approx(scores.mean())
    half = 1.96 * scores.std() / np.sqrt(len(scores))
    np.testing.assert_allclose([found.low, found.high], [found.value - half, found.value + half], atol=0.1 * half)


def test_tasks_are_strata():
    """Tasks that differ only between themselves give an interval of no width; runs that differ do not."""
    scores = np.tile([1.0, 50.0, 1000.0], (5, 1))
    assert len(set(stratified_bootstrap(scores))) == 1
    low, high = stratified_bootstrap(scores.T)[1:]
    assert low < high


def test_seeds_repeat_and_levels_nest():
    scores = np.random.default_rng(1).normal(size=(5, 4))
    assert stratified_bootstrap(scores, seed=3) == stratified_bootstrap(scores, seed=3)
    wide, narrow = (stratified_bootstrap(scores, level=level) for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    assert str(Interval(1.23456, 1, 2)) == "1.235 [1, 2]"


def test_refusals():
    with pytest.raises(ValueError, match=r"expected scores \[runs tasks\], at least one, got shape \(2, 2, 2\)"):
        stratified_bootstrap(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="level is 95, expected between 0 and 1"):
        stratified_bootstrap(np.zeros(3), level=95)


def test_probability_of_improvement_is_mann_whitney():
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(0, 5, 9), rng.integers(0, 5, 7)
    assert probability_of_improvement(ours, theirs) == pytest.approx(stats.mannwhitneyu(ours, theirs).statistic / 63)
