"""Line charts and scatter plots for reports, in one look."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def _grid(count: int, width: float = 4.6, height: float = 3.3) -> tuple[Any, list[Any]]:
    """A figure of `count` panels in rows of at most three; a single one is wider."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure((max(width * columns, 7), height * rows + 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.set_visible(False)
    for axis in axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes[:count]


def write_curves(
    path: Path, panels: Mapping[str, Mapping[str, tuple[Sequence[float], Any]]], x: str, y: str, title: str = ""
) -> str:
    """One panel for each `{panel: {label: (x[n], y[seeds n])}}`: mean, and one deviation as a band. Its file name."""
    from matplotlib import colormaps

    figure, axes = _grid(len(panels))
    labels = list(dict.fromkeys(label for lines in panels.values() for label in lines))
    colour = {label: colormaps["tab20" if len(labels) > 10 else "tab10"](i) for i, label in enumerate(labels)}
    shown: dict[str, Any] = {}
    for axis, (panel, lines) in zip(axes, panels.items(), strict=True):
        for label, (at, values) in lines.items():
            values = np.asarray(values, float)
            some = ~np.isnan(values).all(0)
            at, values = np.asarray(at)[some], values[:, some]
            mean, spread = np.nanmean(values, 0), np.nanstd(values, 0)
            shown[label] = axis.plot(at, mean, color=colour[label], label=label)[0]
            axis.fill_between(at, mean - spread, mean + spread, color=colour[label], alpha=0.15, lw=0)
        axis.set(title=panel, xlabel=x, ylabel=y)
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    if title:
        figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path.name


def write_intervals(path: Path, panels: Mapping[str, Mapping[str, Any]], x: str) -> str:
    """One panel for each `{panel: {label: Interval}}`: a dot, and its bounds as a bar. Its file name."""
    figure, axes = _grid(len(panels), 5.5, 0.3 * max(map(len, panels.values())) + 1.1)
    for axis, (panel, found) in zip(axes, panels.items(), strict=True):
        for row, interval in enumerate(found.values()):
            axis.plot([interval.low, interval.high], [row, row], color="tab:blue", lw=5, alpha=0.4, solid_capstyle="round")
            axis.plot(interval.value, row, "o", color="tab:blue")
        axis.set(title=panel, xlabel=x, yticks=range(len(found)), yticklabels=list(found))
        axis.invert_yaxis()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path.name


def write_scatter(path: Path, panels: Mapping[str, tuple[Any, Any]], x: str, y: str) -> str:
    """One panel for each `{panel: (x[n], y[n])}`, on common axes. Its file name."""
    figure, axes = _grid(len(panels), 3.4, 2.6)
    every = [np.concatenate([np.ravel(pair[k]) for pair in panels.values()]) for k in (0, 1)]
    for axis, (panel, (at, values)) in zip(axes, panels.items(), strict=True):
        axis.plot(np.ravel(at), np.ravel(values), ".", ms=4, alpha=0.35)
        axis.set(title=panel, xlabel=x, ylabel=y)
        axis.set_xlim(0, 1.03 * every[0].max() + 1e-9)
        axis.set_ylim(min(0, every[1].min()), 1.05 * every[1].max() + 1e-9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    return path.name
