"""Occlusion: how much of the score goes when a window of the frame is painted over."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.explain.contract import Explain, Network, Score, as_float, evaluate, full_baseline, image_size
from rljax_viz.explain.variants import over_variants
from rljax_viz.transforms import separable_prefix


def occlusion(f: Network, score: Score, window: int | tuple[int, int], stride: int, fill: float | jax.Array = 0.0) -> Explain:
    """What the score loses, pixel by pixel, when a window over it is filled: the mean over the windows that cover it.

    explain(params, obs, *rest) -> float32 map[H W], score units: score(obs) - score(occluded). The window, `window` or
    (height, width) pixels, goes over all channels of the stack at once; the last ones are cut off by the border. `fill`
    is a value or an array of the shape of `obs`, in its units. A pixel under no window (stride > window) is 0.
    Zeiler and Fergus 2014, sec. 4.2, arXiv:1311.2901, with Captum's mean over windows. Differs: nothing; the
    first convolution of `f` runs once a row of windows.
    Raises ValueError for a window or stride < 1, a window larger than the frame, or a score that is not one number.
    """
    height, width = (window, window) if isinstance(window, int) else window
    if min(height, width, stride) < 1:
        raise ValueError(f"occlusion needs a window and a stride of at least one pixel, got {window} and {stride}")

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        obs = as_float(obs)
        sides = image_size(obs)
        rows, columns = (_covers(size, side, stride) for size, side in zip(sides, (height, width), strict=True))
        clean = evaluate(score, f(params, obs, *rest))
        along, tail = separable_prefix(f)(params, obs, full_baseline(fill, obs) - obs, *rest)

        def in_row(row: jax.Array) -> jax.Array:
            covered = along(row[None])
            return over_variants(lambda column: clean - evaluate(score, tail(covered(column[None]))), columns)

        grid = over_variants(in_row, rows, batch=1)
        total = jnp.einsum("yh,yx,xw->hw", rows, grid, columns, precision="highest")
        count = np.outer(rows.sum(0), columns.sum(0))
        return total / np.maximum(count, 1).astype(np.float32)

    return explain


def _covers(size: int, window: int, stride: int) -> np.ndarray:
    """float32 [positions size], 0 and 1: which pixels of a side each position of the window covers."""
    if window > size:
        raise ValueError(f"a window of {window} pixels does not fit a frame of {size}; take a smaller one")
    starts = stride * np.arange(-(-(size - window) // stride) + 1)
    pixels = np.arange(size)
    return ((pixels >= starts[:, None]) & (pixels < starts[:, None] + window)).astype(np.float32)
