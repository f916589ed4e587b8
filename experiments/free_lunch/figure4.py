"""Figures 4 and 5: what six architectures attend to on the same frames, raw and as the networks see them.

Figure 5 shows people's gaze beside it, on frames that they played: it takes trials of Atari-HEAD, --gaze FOLDER.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import arg

from experiments.claims import Claim, Table, judge
from experiments.free_lunch.agents import FEW, games, network_of, train
from experiments.free_lunch.looks import (
    NO_GAZE,
    PLAYER,
    Frames,
    area,
    atari_agents,
    digest,
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
    frames = frames_of(recorded(at, player, 32 if tiny else at.choose(256, 4096)), 1)
    maps = {n: maps_of(agent, frames) for n, agent in agents.items()}
    assert frames.rgb is not None
    rows = [
        (f"step {i}", frames.rgb[i], frames.newest[i], {model_of(n).label: maps[n][i] for n in shown}, None)
        for i in moments(frames, at.choose(2, 6))
    ]
    title = f"{game}: six architectures" + (", some hardly trained (see the report)" if at.smoke else "")
    picture = write_comparison(at.folder / f"{game}.png", rows, title)
    return {"picture": picture, "numbers": {n: {"area": float(area(m).mean())} for n, m in maps.items()}}


def compare_gaze(at: Experiment, folder: Path, game: str, most_steps: int, tiny: bool) -> dict[str, Any] | None:
    """Figure 5: the same networks on what a person saw in the first trial of `game`, and where that person looked.

    None where `folder` has no trial of the game.
    """
    from rljax_viz.images import gaussian_blur
    from rljax_viz.runs import load_agent, trials_of

    try:
        trial = trials_of(folder, game)[0][0]
    except FileNotFoundError:
        return None
    steps = list(trial.steps)[:most_steps]
    obs, rgb = trial.observations(steps), trial.frames[steps]
    frames = Frames(obs, obs[..., -1:], rgb, np.cumsum(trial.begins(steps)))
    shown = [n for n in PICTURED if not tiny or n in FEW[:2]]
    agents = {n: load_agent(atari_agents(at, n, game, tiny)[0].run) for n in shown}
    maps = {n: maps_of(agent, frames) for n, agent in agents.items()}
    looked = [k for k, step in enumerate(steps) if trial.looks([step])]
    rows = []
    for i in np.array(looked)[np.linspace(len(looked) // 4, len(looked) - 1, 2).astype(int)] if looked else ():
        spots = np.asarray(gaussian_blur(trial.fixations([steps[i]], (84, 84))[0].astype(np.float32), 2.0))
        rows.append((f"frame {steps[i] + 1}", rgb[i], frames.newest[i], {model_of(n).label: maps[n][i] for n in shown},
                     spots / max(spots.max(), 1e-12)))  # fmt: skip
    if not rows:
        return None
    title = f"{game}, trial {trial.number}: six architectures and a person"
    return {"picture": write_comparison(at.folder / f"{game}-gaze.png", rows, title)}


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


def main(
    at: Experiment,
    *,
    gaze: Annotated[Path | None, arg(help="a folder of Atari-HEAD trials, with its meta_data.csv: figure 5")] = None,
    tiny: Tiny = False,
) -> None:
    folder = "" if gaze is None else digest(Path(gaze))  # a wrong one is told before anything is trained
    minatar = None if at.atari else at.part("minatar", lambda: compare_minatar(at, tiny))
    where = at.choose(("Breakout-v5",), ("Breakout-v5", "Seaquest-v5"))
    atari = {game: at.part(game, lambda g=game: compare_atari(at, g, tiny)) for game in where}
    tables, pictures, told, people = [], [], [], {}
    for game in where if gaze is not None else ():
        name, most = f"gaze/{folder}/{game}", 16 if tiny else at.choose(500, 5000)
        people[game] = at.part(name, lambda g=game, n=most: compare_gaze(at, Path(gaze), g, n, tiny))
    people = {game: found for game, found in people.items() if found}
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
              [*pictures, *(found["picture"] for found in (*atari.values(), *people.values()))],
              told if people else [*told, NO_GAZE])  # fmt: skip


def claims_of_atari(at: Experiment, numbers: dict[str, Any]) -> list[Claim]:
    """Nothing is judged of networks that have learned next to nothing: at smoke scale the dense one."""
    dense, sparse = (numbers.get(name, {}).get("area", float("nan")) for name in ("dense-fls-sum-pool", "sparse-fls"))
    told = f"share of the frame above half of the map's maximum: {dense:.3f} against {sparse:.3f}"
    seen = "takes agents of millions of steps" if at.smoke else "for the eye: the pictures of both games"
    return [
        judge("4.4", "Dense FLS produces crisper maps than Sparse FLS", None if at.smoke else dense < sparse, told),
        judge("4.4", "Dense FLS digs a tunnel and attends to its end; Seaquest's oxygen bar", None, seen),
    ]


if __name__ == "__main__":
    launch(main, __file__)
