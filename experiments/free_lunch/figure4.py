"""Figures 4 and 5: what six architectures attend to on the same frames, raw and as the networks see them."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.claims import Claim, Table, judge
from experiments.free_lunch.agents import FEW, games, network_of, train
from experiments.free_lunch.looks import (
    PLAYER,
    Frames,
    area,
    atari_agents,
    frames_of,
    looks_at,
    maps_of,
    objects,
    recorded,
)
from experiments.free_lunch.paper import PICTURED, model_of
from experiments.scale import Experiment, Tiny, launch


def raw_with_white(raw: np.ndarray, map: np.ndarray) -> np.ndarray:
    """The raw frame, whiter where the map is larger: raw[h w 3] uint8, map[H W] in 0..1 -> [h w 3] uint8."""
    from rljax_viz.report.overlay import resize

    strength = np.clip(resize(map.astype(np.float32), raw.shape[:2]), 0, 1)[..., None]
    return np.round(raw * (1 - strength) + 255 * strength).astype(np.uint8)


def processed(frame: np.ndarray, map: np.ndarray, fixations: np.ndarray | None = None) -> np.ndarray:
    """Red: where people looked, green: the map, blue: what the network sees; frame[H W c], map[H W] in 0..1."""
    from rljax_viz.report.overlay import colours

    grey = colours(frame).max(-1)
    looks = np.zeros(grey.shape) if fixations is None else np.clip(fixations, 0, 1)
    return np.stack([255 * looks, 255 * np.clip(map, 0, 1), grey], -1).round().astype(np.uint8)


def write_comparison(
    path: Path, rows: list[tuple[str, np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray | None]], title: str
) -> str:
    """`rows` of (name, raw, frame, {architecture: map}, fixations): each is a line of raw pictures and one of processed."""
    from rljax_viz.report.panels import Sheet, cell_size

    labels, pictures, gaze = [], [], any(row[4] is not None for row in rows)
    seen = "attention green, gaze red" if gaze else "attention green, frame blue"
    for name, raw, frame, maps, fixations in rows:
        short = [label.replace("Sparse + FLS after ", "FLS after ").replace(" layer", "") for label in maps]
        labels += [f"{name}: {label}" if k == 0 else label for k, label in enumerate(short)] + [seen]
        labels += [""] * (len(maps) - 1)
        pictures += [raw_with_white(raw, map) for map in maps.values()]
        pictures += [processed(frame, map, fixations) for map in maps.values()]
    title += ". Attention is white"
    sheet = Sheet(labels, cell_size(rows[0][1], 230), len(rows[0][3]), None, title, "")  # the foot would explain signs
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.draw(pictures).save(path, "PNG", optimize=True)
    return path.name


def moments(frames: Frames, count: int) -> np.ndarray:
    """`count` steps spread over the recording, none near its beginning."""
    return np.linspace(len(frames.obs) // 4, len(frames.obs) - 1, count).astype(int)


def compare_minatar(at: Experiment, tiny: bool) -> dict[str, Any]:
    """The twins on one recording of Sparse FLS: the picture, and how crisp and how well placed each map is."""
    from rljax_viz.report.overlay import colours
    from rljax_viz.runs import load_agent

    game = games(at)[0]
    shown = [n for n in PICTURED if not tiny or n in FEW]
    agents = {n: load_agent(train(at, model_of(n), game, tiny)[0].run, seed_index=0) for n in shown}
    frames = frames_of(recorded(at, agents["sparse-fls"], 64 if tiny else 512), 4)
    maps = {n: maps_of(agent, frames) for n, agent in agents.items()}
    rows = [
        (f"step {i}", colours(frames.newest[i]), frames.newest[i],
         {model_of(n).label: maps[n][i] for n in shown}, None)
        for i in moments(frames, 3)
    ]  # fmt: skip
    picture = write_comparison(at.folder / "minatar.png", rows, "MinAtar's Breakout: twins of six architectures")
    numbers = {n: {"area": float(area(m).mean()), **looks_at(m, objects(frames))} for n, m in maps.items()}
    return {"picture": picture, "numbers": numbers}


def compare_atari(at: Experiment, game: str, tiny: bool) -> dict[str, Any]:
    """The paper's networks on one recording of a trained agent's game."""
    from rljax_viz.runs import load_agent

    shown = [n for n in PICTURED if not tiny or n in FEW[:2]]
    agents = {n: load_agent(atari_agents(at, n, game, tiny)[0].run) for n in shown}
    player = load_agent(PLAYER) if at.smoke else agents["sparse-fls"]
    frames = frames_of(recorded(at, player, 32 if tiny else 256), 1)
    maps = {n: maps_of(agent, frames) for n, agent in agents.items()}
    assert frames.rgb is not None
    rows = [
        (f"step {i}", frames.rgb[i], frames.newest[i], {model_of(n).label: maps[n][i] for n in shown}, None)
        for i in moments(frames, 2)
    ]
    title = f"{game}: six architectures" + (", some hardly trained (see the report)" if at.smoke else "")
    picture = write_comparison(at.folder / f"{game}.png", rows, title)
    return {"picture": picture, "numbers": {n: {"area": float(area(m).mean())} for n, m in maps.items()}}


def claims(minatar: dict[str, Any]) -> list[Claim]:
    """Of the trained twins: the few thousand frames of the real game teach a network nothing that a map could show."""
    size = {name: values["area"] for name, values in minatar.items()}
    told = "share of the frame above half of the map's maximum: "
    return [
        judge("4.4", "Dense FLS produces crisper maps than Sparse FLS", size["dense-fls-sum-pool"] < size["sparse-fls"],
              f"{told}{size['dense-fls-sum-pool']:.3f} against {size['sparse-fls']:.3f}"),
        judge("4.2, 4.4", "maps of FLS after each layer are blurrier than those of Sparse FLS",
              size["sparse-fls-each-conv"] > size["sparse-fls"],
              f"{told}{size['sparse-fls-each-conv']:.3f} against {size['sparse-fls']:.3f}"),
        judge("4.4", "Dense FLS attends to objects (ball and paddle, of which MinAtar says where they are)",
              minatar["dense-fls-sum-pool"]["nss"] > 0, f"NSS {minatar['dense-fls-sum-pool']['nss']:.2f}; 0 is chance"),
        judge("4.4", "Dense FLS digs a tunnel and attends to its end; Seaquest's oxygen bar", None,
              "takes agents of millions of steps on the real games"),
    ]  # fmt: skip


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    minatar = None if at.atari else at.part("minatar", lambda: compare_minatar(at, tiny))
    where = at.choose(("Breakout-v5",), ("Breakout-v5", "Seaquest-v5"))
    atari = {game: at.part(game, lambda g=game: compare_atari(at, g, tiny)) for game in where}
    tables, pictures, told = [], [], []
    if minatar is not None:
        rows = [(model_of(n).label, v["area"], v["nss"], v["shuffled_auc"], v["undefined"], network_of(at, model_of(n)))
                for n, v in minatar["numbers"].items()]  # fmt: skip
        header = ("model", "area", "NSS of ball and paddle", "shuffled AUC", "undefined", "network here")
        tables.append(Table("Maps of the twins on 512 frames of MinAtar's Breakout", header, rows))
        pictures.append(minatar["picture"])
        told = [
            "The maps of the real game are, but for agents that ship, those of networks that learned from 1,024 steps (the "
            "dense one: 128): where each architecture can look, and nothing that was learned. Verdicts are about the twins."
        ]
    elif at.smoke:
        told = [
            "Sparse FLS is the agent that ships; DAQN and RS-PPO learned from 204,800 frames; the dense network and those "
            "with FLS after the first and after each layer from next to none: too slow for two cores, and not judged."
        ]
    numbers = [found["numbers"] for found in atari.values()]
    rows = [(model_of(n).label, *(one[n]["area"] for one in numbers)) for n in numbers[0]]
    tables.append(Table("Area of the maps of the paper's networks on 256 frames", ("model", *atari), rows))
    judged = claims(minatar["numbers"]) if minatar is not None else claims_of_atari(at, numbers[0])
    at.report("Free-lunch saliency, figures 4 and 5: what six architectures attend to", judged, tables,
              [*pictures, *(found["picture"] for found in atari.values())], told)  # fmt: skip


def claims_of_atari(at: Experiment, numbers: dict[str, Any]) -> list[Claim]:
    """Nothing is judged of networks that have learned next to nothing: at smoke scale the dense one."""
    dense, sparse = (numbers.get(name, {}).get("area", float("nan")) for name in ("dense-fls-sum-pool", "sparse-fls"))
    told = f"share of the frame above half of the map's maximum: {dense:.3f} against {sparse:.3f}"
    return [judge("4.4", "Dense FLS produces crisper maps than Sparse FLS", None if at.smoke else dense < sparse, told)]


if __name__ == "__main__":
    launch(main, __file__)
