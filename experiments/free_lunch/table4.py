"""Table 4: do the maps lie where people look? Needs trials of Atari-HEAD (zenodo 3451402): --gaze FOLDER."""

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import arg

from experiments.claims import Claim, Table, judge
from experiments.free_lunch.agents import FEW, games, train
from experiments.free_lunch.looks import NO_GAZE, atari_agents, digest, frames_of, looks_at, maps_of, objects, recorded
from experiments.free_lunch.paper import GAZE, GAZE_GAMES, model_of
from experiments.scale import Experiment, Tiny, launch

METRICS = ("nss", "kl_divergence", "shuffled_auc")


def of_people(at: Experiment, folder: Path, game: str, network: str, most_steps: int | None, tiny: bool) -> dict[str, Any]:
    """Mean of each metric over the trials of `game`, one value a seed; {} where the folder has no trial of it."""
    from rljax_viz.runs import evaluate_gaze, load_agent

    values: dict[str, list[float]] = {name: [] for name in METRICS}
    for trained in atari_agents(at, network, f"{game}-v5", tiny):
        agent = load_agent(trained.run, seed_index=trained.seed_index)
        try:
            found = evaluate_gaze(agent, folder, ["attention_map"], ["attention"], most_steps=most_steps)
        except FileNotFoundError:
            return {}
        for name, value in zip(METRICS, np.nanmean([score.means for score in found], 0), strict=True):
            values[name].append(float(value))
    return values


def of_objects(at: Experiment, tiny: bool) -> dict[str, dict[str, list[float]]]:
    """NSS and shuffled AUC of the twins' maps against ball and paddle, one value a seed, on one recording."""
    from rljax_viz.runs import load_agent

    game = games(at)[0]
    some = [n for n in GAZE if not tiny or n in FEW]
    agents = {n: [load_agent(t.run, seed_index=t.seed_index) for t in train(at, model_of(n), game, tiny)] for n in some}
    frames = frames_of(recorded(at, agents["sparse-fls"][0], 64 if tiny else 512), 4)
    found = {n: [looks_at(maps_of(agent, frames), objects(frames)) for agent in some] for n, some in agents.items()}
    return {n: {name: [one[name] for one in some] for name in ("nss", "shuffled_auc")} for n, some in found.items()}


def claims(people: dict[str, dict[str, Any]], things: dict[str, dict[str, list[float]]] | None) -> list[Claim]:
    every = "all models look where people look better than chance (mean NSS over the games above 0)"
    winner = "no model is a clear winner: none is best in every game"
    beside = "no gaze given"
    if things is not None:
        told = ", ".join(f"{model_of(n).label} {np.mean(v['nss']):.2f}" for n, v in things.items())
        beside += f"; against ball and paddle of MinAtar, which is another question, NSS: {told}"
    if not people:
        return [judge("Table 4, 4.3", every, None, beside), judge("Table 4, 4.3", winner, None, "no gaze given")]
    means = {game: {n: float(np.mean(v["nss"])) for n, v in networks.items()} for game, networks in people.items()}
    flat = [value for networks in means.values() for value in networks.values()]
    if any(map(math.isnan, flat)):
        return [judge("Table 4, 4.3", text, None, f"NSS is undefined for some model: {means}") for text in (every, winner)]
    over = {n: float(np.mean([networks[n] for networks in means.values()])) for n in next(iter(means.values()))}
    best = {max(networks, key=networks.__getitem__) for networks in means.values()}
    return [
        judge("Table 4, 4.3", every, min(over.values()) > 0,
              f"means from {min(over.values()):.3f} to {max(over.values()):.3f}; of one game from {min(flat):.3f}"),
        judge("Table 4, 4.3", winner, len(best) > 1 if len(means) > 1 else None, f"best by game: {sorted(best)}"),
    ]  # fmt: skip


def spread(values: list[float]) -> str:
    """Mean and standard deviation over seeds, as the paper prints them."""
    return "-" if not values or math.isnan(np.mean(values)) else f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def main(
    at: Experiment,
    *,
    gaze: Annotated[Path | None, arg(help="a folder of Atari-HEAD trials, with its meta_data.csv")] = None,
    most_steps: Annotated[int | None, arg(help="of each trial; by default 500 at smoke scale, else all")] = None,
    tiny: Tiny = False,
) -> None:
    most = most_steps or at.choose(500, None)
    people: dict[str, dict[str, Any]] = {}
    for game in GAZE_GAMES:
        for network in GAZE if gaze is not None else ():
            name = f"gaze/{digest(Path(gaze))}-{most}/{game}-{network}"
            found = at.part(name, lambda g=game, n=network: of_people(at, Path(gaze), g, n, most, tiny))
            if not found:
                break  # no trial of this game
            people.setdefault(game, {})[network] = found
    things = None if at.atari else at.part("objects", lambda: of_objects(at, tiny))
    tables, notes = [], [] if people else [NO_GAZE]
    for game, networks in people.items():
        k = GAZE_GAMES.index(game)
        rows = [
            (model_of(n).label, *(cell for m, metric in enumerate(METRICS) for cell in (spread(v[metric]), GAZE[n][m][k])))
            for n, v in networks.items()
        ]
        header = ("model", *(word for metric in METRICS for word in (metric, "paper")))
        tables.append(Table(f"{game}: maps against gaze, over seeds", header, rows))
    if things is not None:
        rows = [(model_of(n).label, spread(v["nss"]), spread(v["shuffled_auc"])) for n, v in things.items()]
        title = "Not in the paper: maps of the twins against ball and paddle of MinAtar's Breakout, over seeds"
        tables.append(Table(title, ("model", "NSS", "shuffled AUC"), rows))
    if people and at.smoke:
        learned = at.choose("next to nothing", "", "from 204,800 frames at most")
        notes.append(f"At smoke scale the agents of the real games, but for those that ship, have learned {learned}.")
    at.report("Free-lunch saliency, Table 4: attention against human gaze", claims(people, things), tables, (), notes)


if __name__ == "__main__":
    launch(main, __file__)
