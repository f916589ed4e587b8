"""Labelled pictures for reports, in rows, in the look of the charts."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_pictures(
    path: Path, rows: Mapping[str, Mapping[str, np.ndarray]], title: str, foot: str = "",
    legend: Mapping[str, Any] | None = None, side: float = 1.7,
) -> str:
    """A row of pictures for each `{row: {label: picture[H W 3]}}`, the longer side `side` inches. Its file name.

    Labels that all rows share stand above the first. `legend` is `{words: colour}`, colours of 0..255.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(map(len, rows.values()))
    high, wide = next(iter(next(iter(rows.values())).values())).shape[:2]
    cell = side * min(1, wide / high), side * min(1, high / wide)
    width = max(columns * (cell[0] + 0.15) + 0.085 * max(len(line) for row in rows for line in row.split("\n")) + 0.3, 6)
    letters = int(width * 14)
    told = [*textwrap.wrap(title, int(letters * 0.65)), *textwrap.wrap(foot, letters)]
    figure = Figure((width, len(rows) * (cell[1] + 0.3) + 0.22 * len(told) + (0.7 if legend else 0.3)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # type: ignore[union-attr]
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    alike = len({tuple(cells) for cells in rows.values()}) == 1
    for number, (line, (row, cells)) in enumerate(zip(axes, rows.items(), strict=True)):
        line[0].set_ylabel(row, rotation=0, ha="right", va="center", fontsize=9)
        for spare in line[len(cells) :]:
            spare.set_axis_off()
        for axis, (label, picture) in zip(line, cells.items(), strict=False):
            axis.imshow(picture, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            if number == 0 or not alike:
                axis.set_title(label, fontsize=9)
    figure.suptitle(textwrap.fill(title, int(letters * 0.65)), fontsize=12)
    below = textwrap.fill(foot, letters)
    if legend:
        write_legend(figure, legend, below)
    elif foot:
        figure.supxlabel(below, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path.name


def write_legend(figure: Any, legend: Mapping[str, Any], title: str = "") -> None:
    """What the colours of pictures are, `{words: colour}` of 0..255, below everything else of a matplotlib `figure`."""
    from matplotlib.patches import Patch

    edge = {"edgecolor": "0.5", "lw": 0.5}
    patches = [Patch(facecolor=np.array(colour) / 255, label=words, **edge) for words, colour in legend.items()]
    figure.legend(handles=patches, title=title or None, loc="outside lower center", ncols=max(len(patches), 1), fontsize=8,
                  title_fontsize=8, frameon=False)  # fmt: skip
