"""One moment, many methods, or many frames: sheets of labelled maps as a PNG."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .overlay import colours


def write_gallery(
    path: str | os.PathLike[str],
    frame: Any,
    maps: Mapping[str, Any],
    *,
    rgb: Any = None,
    title: str = "",
    foot: str = "Green speaks for the score, red against it. The full colour is each map's own largest value.",
    opacity: float = 0.6,
    side: int = 252,
) -> Path:
    """A picture of one moment: the game, the agent's frame, and every map over it with its label.

    frame  [H W] or [H W c] uint8, what the agent saw; rgb [h w 3] uint8, the game in colour, or None
    maps   {label: map[h w]}, in this order; each is scaled by its own largest magnitude
    side   pixels of the longer side of a cell

    Raises ValueError for a map that is not [h w], or no map at all.
    """
    from .panels import Sheet, cell_size, columns_for, map_over, stacked

    if not maps:
        raise ValueError("No map to show: pass {label: map[h w]}, for instance {'Grad-CAM': explain(params, obs)}.")
    frame = np.asarray(frame)
    arrays = stacked(maps)
    labels = ["What the agent sees", *maps]
    if foot and not all(values.any() for values in arrays.values()):
        foot += " A map without colour is zero everywhere."
    aspect = None if rgb is None else np.shape(rgb)[1] / np.shape(rgb)[0]
    sheet = Sheet(labels, cell_size(frame, side), columns_for(len(labels)), aspect, title, foot)
    cells = [colours(frame)] + [map_over(frame, values, opacity, None) for values in arrays.values()]
    path = Path(path)
    sheet.draw(cells, None if rgb is None else colours(rgb)).save(path, "PNG", optimize=True)
    return path


def write_past(
    path: str | os.PathLike[str],
    frames: Any,
    maps: Mapping[str, Any],
    *,
    title: str = "",
    opacity: float = 0.6,
    side: int = 168,
) -> Path:
    """A picture of one moment and the frames before it: a row a method, each map over the frame that it belongs to.

    frames  [T H W c] uint8, oldest first, the newest last
    maps    {label: map[T' h w]}, T' <= T, of the last T' frames; each frame's map is scaled by its own largest magnitude,
            which its label gives as a share of the largest in its row

    Raises ValueError for a map that is not [T' h w] of at most T frames, or no map at all.
    """
    from .panels import Sheet, cell_size, map_over

    frames = np.asarray(frames)
    rows = {label: np.asarray(values, np.float32) for label, values in maps.items()}
    for label, values in rows.items():
        if values.ndim != 3 or not 0 < len(values) <= len(frames):
            most = f"expected [T h w] of at most {len(frames)} frames"
            raise ValueError(f"The maps {label!r} have shape {values.shape}; {most}.")
    if not rows:
        raise ValueError("No map to show: pass {label: map[T h w]}, for instance of rljax-viz explain RUN --past 9.")
    columns = max(map(len, rows.values()))
    labels, cells = [], []
    for label, values in rows.items():
        peaks, blank = np.abs(values).max((1, 2)), columns - len(values)
        labels += [label, *[""] * blank]
        cells += [colours(frames[-1]), *[colours(np.zeros_like(frames[-1]))] * blank]
        backs = range(len(values))[::-1]
        for back, frame, one, peak in zip(backs, frames[-len(values) :], values, peaks, strict=True):
            labels.append(f"t-{back}"[: None if back else 1] + f", {100 * peak / max(peaks.max(), 1e-30):.0f} %")
            cells.append(map_over(frame, one, opacity, None))
    foot = "Green speaks for the score, red against it. Each frame has its own scale; its strength is given in percent."
    sheet = Sheet(labels, cell_size(frames[-1], side), columns + 1, None, title, foot)
    path = Path(path)
    sheet.draw(cells).save(path, "PNG", optimize=True)
    return path
