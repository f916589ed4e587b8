"""Scores over seeds and games: their middle, and how sure it is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A statistic, and the bounds of its bootstrap interval; units of the scores."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def interquartile_mean(scores: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray:
    """Mean of the middle half: a quarter of the scores, rounded down, is left out at either end.

    scores[...] -> [...] without `axis` (None: all of them), units of the scores; NaN if any is.
    Agarwal et al. 2021, arXiv:2108.13264, section 4.3, as `scipy.stats.trim_mean(scores, 0.25)`. Differs: nothing.
    Raises ValueError where there is no score.
    """
    scores = np.asarray(scores, np.float64)
    axes = tuple(range(scores.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    axes = tuple(a % scores.ndim for a in axes)
    left = [a for a in range(scores.ndim) if a not in axes]
    flat = scores.transpose(*left, *axes).reshape(*(scores.shape[a] for a in left), -1)
    if not flat.shape[-1]:
        raise ValueError(f"the interquartile mean of no scores: got shape {scores.shape}")
    cut = flat.shape[-1] // 4
    middle = np.sort(flat, axis=-1)[..., cut : flat.shape[-1] - cut].mean(-1)
    return np.where(np.isnan(flat).any(-1), np.nan, middle)


def stratified_bootstrap(
    scores: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray] = lambda drawn: interquartile_mean(drawn, (1, 2)),
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """A statistic of scores[runs tasks] over everything, and its percentile interval when runs are drawn anew.

    scores[runs tasks], or [runs] of one task. Each task draws its runs by itself, with replacement, as many as there are:
    the tasks stay. `statistic` takes `[n runs tasks]` to `[n]`; by default the interquartile mean.
    Agarwal et al. 2021, arXiv:2108.13264, section 4.1 (95 %, percentile). Differs: nothing.
    Raises ValueError for other shapes, no scores, or a level that is not between 0 and 1.
    """
    scores = np.asarray(scores, np.float64)
    scores = scores[:, None] if scores.ndim == 1 else scores
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"expected scores [runs tasks], at least one, got shape {scores.shape}")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, expected between 0 and 1, e.g. 0.95")
    runs, tasks = scores.shape
    drawn = np.random.default_rng(seed).integers(0, runs, (resamples, runs, tasks))
    values = statistic(np.take_along_axis(scores[None], drawn, 1))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(statistic(scores[None])[0]), float(low), float(high))


def probability_of_improvement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """How often a run drawn from `ours` scores higher than one from `theirs`, ties half; 0.5 is no difference.

    ours[n], theirs[m] -> 0..1. Agarwal et al. 2021, arXiv:2108.13264, section 4.3: the Mann-Whitney U over n m.
    """
    ours, theirs = np.asarray(ours, np.float64)[:, None], np.asarray(theirs, np.float64)[None]
    return float(((ours > theirs) + 0.5 * (ours == theirs)).mean())
