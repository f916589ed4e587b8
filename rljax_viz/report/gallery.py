"""One moment, many methods: a sheet of labelled maps as a PNG."""

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
    aspect = None if rgb is None else np.shape(rgb)[1] / np.shape(rgb)[0]
    sheet = Sheet(labels, cell_size(frame, side), columns_for(len(labels)), aspect, title, foot)
    cells = [colours(frame)] + [map_over(frame, values, opacity, None) for values in arrays.values()]
    path = Path(path)
    sheet.draw(cells, None if rgb is None else colours(rgb)).save(path, "PNG", optimize=True)
    return path
