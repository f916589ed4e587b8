"""Table 1: six methods for every agent, as explorer pages and galleries, and what section 4 says of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.claims import Claim, Table, above, both, decimals, highest, judge, most
from experiments.gradient_saliency.agents import METHODS, agent_of, available, games_of, missing, recorded
from experiments.gradient_saliency.entrance import write_index
from experiments.gradient_saliency.normalisation import over_video
from experiments.scale import Experiment, Tiny, launch

CAPTION = (
    "Green is positive, red negative. Above, the full colour is the frame's own largest value; below, that of the video's "
    "median frame."
)


def write_page(path: Path, folder: Path, series: Sequence[Any], title: str, more: Mapping[str, Any] | None = None) -> str:
    """The explorer of the recording in `folder` with these `MapSeries`; `more` facts stand first. Its file name."""
    from rljax_viz.report import write_explorer
    from rljax_viz.runs.page import action_names, facts, make_recording
    from rljax_viz.store import Episodes

    episodes = Episodes(folder / "episodes.zarr")
    rows = np.arange(len(series[0].values))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_explorer(path, make_recording(episodes, rows), series, title=title, facts={**(more or {}), **facts(episodes)},
                   action_names=action_names(episodes))  # fmt: skip
    return path.name


def write_cells(path: Path, frame: np.ndarray, maps: dict[Any, np.ndarray], step: int, title: str) -> str:
    """One moment of some cells, each map scaled by itself. Its file name."""
    from rljax_viz.report import write_gallery

    path.parent.mkdir(parents=True, exist_ok=True)
    write_gallery(path, frame, {cell.label: values[step] for cell, values in maps.items()}, title=title)
    return path.name


def write_grid(path: Path, frame: np.ndarray, maps: dict[str, np.ndarray], step: int, title: str) -> str:
    """One moment: every map scaled by its own frame, and below by the whole video. Its file name."""
    from rljax_viz.report.overlay import colours
    from rljax_viz.report.panels import Sheet, cell_size, map_over

    labels, pictures = [], []
    for told, by_video in (("Scaled by frame", False), ("Scaled by video", True)):
        labels += [told, *maps]
        pictures.append(colours(frame))
        for values in maps.values():
            largest = np.abs(values).max((1, 2))
            some = largest[largest > 0]
            pictures.append(map_over(frame, values[step], 0.6, float(np.median(some)) if by_video and len(some) else None))
    sheet = Sheet(labels, cell_size(frame, 210), len(maps) + 1, None, title, CAPTION)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.draw(pictures).save(path, "PNG", optimize=True)
    return path.name


def compare(at: Experiment, name: str, game: str, tiny: bool) -> dict[str, Any]:
    """Page and gallery of one agent, and how well every method's maps lie on what moves."""
    from experiments.gradient_saliency.grid import (
        convolutions,
        features,
        maps,
        mean,
        nss,
        seen_in,
        stable,
        streams,
        table1,
        table2,
        table3,
        upscaled,
    )
    from rljax_viz.report import MapSeries
    from rljax_viz.runs.mapping import units
    from rljax_viz.runs.page import make_recording, shortly_before_a_loss
    from rljax_viz.store import Episodes

    agent, steps = agent_of(at, name, game, tiny=tiny), 48 if tiny else 256
    folder = recorded(at, name, game, steps, tiny)
    episodes = Episodes(folder / "episodes.zarr")
    seen = seen_in(episodes)
    obs, found = seen.obs, maps(agent, [*table1(agent), *table2(agent), *table3(agent)], seen)
    channels = obs.shape[-1] // agent.preset.stack
    step = shortly_before_a_loss(make_recording(episodes, np.arange(len(obs))))
    newest, six = obs[step][..., -channels:], {cell: found[cell] for cell in table1(agent)}
    series = [
        MapSeries(cell.method + (f" of frame t-{cell.past}" if cell.past else ""), cell.score, values, cell.layer,
                  units(cell.method, cell.score))
        for cell, values in found.items()
    ]  # fmt: skip
    page = write_page(at.folder / f"{game}-{name}.html", folder, series, f"{name} on {game}: Rosynski et al., tables 1-3")
    title = f"{name} on {game}, step {step}"
    labels = {f"{cell.method} {cell.layer or ''}".strip(): values for cell, values in six.items()}
    settings = {cell: found[cell] for cell in table2(agent)}
    parts = {
        "layers": {cell: values for cell, values in settings.items() if cell.layer and cell.score == streams(agent)[0]},
        "streams": {cell: values for cell, values in settings.items() if not cell.layer or cell.score == "value"},
    }
    pictures = {"six methods": write_grid(at.folder / f"{game}-{name}.png", newest, labels, step, title)}
    pictures |= {what: write_cells(at.folder / f"{game}-{name}-{what}.png", newest, cells, step, title)
                 for what, cells in parts.items()}  # fmt: skip
    mask = features(obs, channels)
    scores = {cell.method: nss(upscaled(values, obs.shape[1:3]), mask) for cell, values in six.items()}
    shown = over_video(found[table1(agent)[1]])
    return {
        "page": page, "pictures": pictures, "cells": [cell.label for cell in found], "layer": convolutions(agent)[0],
        "nss": {m: mean(v) for m, v in scores.items()},
        "stable": {m: stable(v) for m, v in scores.items()},
        "inverted": {m: mean(v[~np.isnan(v)] < 0) for m, v in scores.items()},
        "empty": {cell.method: float((np.abs(v).max((1, 2)) == 0).mean()) for cell, v in six.items()},
        "strength": float(np.abs(shown).mean()),
    }  # fmt: skip


def claims(found: dict[str, dict[str, Any]]) -> list[Claim]:
    """Each over all agents; it holds if it does for most of them."""

    def told(what: str, *methods: str) -> str:
        return "; ".join(f"{k}: " + ", ".join(f"{m} {decimals(v[what][m])}" for m in methods) for k, v in found.items())

    def more(what: str, one: str, other: str) -> bool | None:
        return most(above(v[what][one], v[what][other]) for v in found.values())

    guided, plain, pair = "guided_backprop", "gradient", ("guided_backprop", "gradient")
    return [
        judge("4.1", "gradients are noisier than guided backpropagation: they lie less on what moves",
              more("nss", guided, plain), f"NSS on moving features: {told('nss', *pair)}"),
        judge("4.1", "guided backpropagation is the most stable of all methods",
              most(highest(guided, v["stable"]) for v in found.values()),
              f"share of frames on which features stand out: {told('stable', *METHODS)}"),
        judge("4.1", "guided Grad-CAM and G2 are less stable than guided backpropagation",
              most(both(*(above(v["stable"][guided], v["stable"][other]) for other in ("guided_grad_cam", "g2_grad_cam")))
                   for v in found.values()),
              told("stable", guided, "guided_grad_cam", "g2_grad_cam")),
        judge("4.1", "G1 Grad-CAM is inverted less often than Grad-CAM",
              more("inverted", "grad_cam", "g1_grad_cam"),
              f"share of frames with NSS below 0: {told('inverted', 'grad_cam', 'g1_grad_cam')}"),
        judge("4.1", "G1 Grad-CAM lies on the features better than Grad-CAM",
              more("nss", "g1_grad_cam", "grad_cam"), f"NSS: {told('nss', 'grad_cam', 'g1_grad_cam')}"),
    ]  # fmt: skip


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    pairs = [(name, game) for name in available(at) for game in games_of(at, name)]
    found = {f"{name} on {game}": at.part(f"{game}-{name}", lambda n=name, g=game: compare(at, n, g, tiny))
             for name, game in pairs}  # fmt: skip
    tables = [
        Table(f"{title}, by method", ("agent", *METHODS), [(k, *(v[what][m] for m in METHODS)) for k, v in found.items()])
        for what, title in (("nss", "NSS on moving features"), ("stable", "Share of frames on which they stand out"),
                            ("inverted", "Share of frames with NSS below 0"), ("empty", "Share of empty maps"))
    ]  # fmt: skip
    pages = ", ".join(f"[{k}]({v['page']})" for k, v in found.items())
    notes = ["All agents, pages, pictures and reports: [index](../index.html)."]
    notes += [f"Explorer pages with every method, stream, layer and past frame: {pages}."]
    if gone := missing(at):
        notes.append(f"Agents of the paper that are not here: {', '.join(gone)}.")
    at.report("Gradient saliency, Table 1: six methods, every agent", claims(found), tables,
              [picture for v in found.values() for picture in v["pictures"].values()], notes)  # fmt: skip
    write_index(at)


if __name__ == "__main__":
    launch(main, __file__)
