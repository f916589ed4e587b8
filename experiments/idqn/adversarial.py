"""Figures 7, 13 and 15: states that were never seen, from objects that were: does the agent notice what was added?"""

from typing import Any

import numpy as np

from experiments.claims import judge
from experiments.idqn.agents import about, as_picture, channels_of, legend, main_game, outputs, train, watched
from experiments.pictures import write_pictures
from experiments.scale import Experiment, Tiny, launch

MIXED, ADDED = "maximum of two states", "a brick more"
BALL, BRICKS = 1, 3  # planes of MinAtar's Breakout


def added_brick(obs: np.ndarray, seed: int = 0) -> np.ndarray:
    """MinAtar's Breakout with one brick more, between wall and paddle and far from the ball: obs[N 10 10 4], the same shape.

    In rows 5 to 8, at least three columns from the ball and from where it was, so that its way is free for two steps.
    """
    changed, rng = obs.copy(), np.random.default_rng(seed)
    for frame in changed:
        near = np.argwhere(frame[..., BALL : BALL + 2] > 0)[:, 1]
        columns = [c for c in range(10) if all(abs(c - x) >= 3 for x in near)]
        frame[rng.integers(4, 8), rng.choice(columns), BRICKS] = 255
    return changed


def compare(at: Experiment, agent: Any, tiny: bool) -> dict[str, Any]:
    """Actions, certainty and attention before and after, with what chance would give; a sheet of both."""
    from rljax_viz.features import pixelwise_maximum

    seen, before = watched(at, agent, 64 if tiny else 1000)
    c, rng = channels_of(agent), np.random.default_rng(0)
    pairs = rng.integers(0, len(seen.obs), (200, 2))
    mixed = np.stack([np.asarray(pixelwise_maximum(seen.obs[pair])) for pair in pairs])
    sets = {MIXED: mixed} | ({} if at.atari else {ADDED: added_brick(seen.obs)})
    found = {"seen": before} | {name: outputs(agent, obs) for name, obs in sets.items()}
    action = {name: one["q"].argmax(1) for name, one in found.items()}
    told: dict[str, Any] = {
        "sure": {n: float(o["weights"].max(2)[np.arange(len(o["q"])), action[n]].mean()) for n, o in found.items()},
        "like either": float(np.mean([mine in seen.action[pair] for mine, pair in zip(action[MIXED], pairs, strict=True)])),
        "either by chance": float(np.mean([np.isin(seen.action, seen.action[pair]).mean() for pair in pairs])),
    }
    rows = {}
    for k in range(3):
        first, second = pairs[k]
        name = lambda a: agent.action_names[a]  # noqa: E731
        cells = {f"a state: {name(seen.action[first])}": seen.obs[first]}
        cells[f"another: {name(seen.action[second])}"] = seen.obs[second]
        cells[f"their maximum: {name(action[MIXED][k])}"] = mixed[k]
        if not at.atari:
            cells[f"the first, {ADDED}: {name(action[ADDED][first])}"] = sets[ADDED][first]
        rows[f"pair {k + 1}"] = {label: as_picture(obs, c) for label, obs in cells.items()}
    if not at.atari:
        often = np.bincount(seen.action, minlength=len(agent.action_names)) / len(seen.action)
        told["same action"] = float((action[ADDED] == seen.action).mean())
        told["same by chance"] = float(often @ np.bincount(action[ADDED], minlength=len(often)) / len(seen.action))
    title, foot = "States that were never seen", "Above each state: the action that the agent takes in it."
    told["picture"] = write_pictures(at.folder / "figure15.png", rows, title, foot, legend(main_game(at)), 2.1)
    return told


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    from rljax_viz.runs import load_agent

    agent = load_agent(train(at, main_game(at), tiny=tiny))
    found = at.part("states", lambda: compare(at, agent, tiny))
    sure, mixed = found["sure"]["seen"], found["sure"][MIXED]
    claims = [
        judge(
            "Fig. 15",
            "on the pixelwise maximum of two states the agent acts as on one of them",
            found["like either"] > max(0.8, found["either by chance"]),
            f"{found['like either']:.0%} of 200 pairs (held to 80 %); the action of any other state is one of the two in "
            f"{found['either by chance']:.0%}",
        ),
        judge(
            "Fig. 15",
            "and it stays about as certain as on states that it has seen",
            mixed > 0.8 * sure,
            f"mean largest weight {mixed:.2f} against {sure:.2f} (held to four fifths of it)",
        ),
    ]
    if "same action" in found:
        claims.append(
            judge(
                "Fig. 7",
                "an object laid beside what happens does not change what the agent does",
                found["same action"] > max(0.8, found["same by chance"]),
                f"same action in {found['same action']:.0%} of the states with {ADDED} (held to 80 %); by chance in "
                f"{found['same by chance']:.0%}",
            )
        )
    claims.append(
        judge(
            "Figs. 7, 13",
            "MsPacman does not clear an added pellet, SpaceInvaders repeats its strategy",
            None,
            "takes agents of 10 million frames of those games",
        )
    )
    at.report(
        "i-DQN, figures 7, 13, 15: states that were never seen", claims, (), [found["picture"]], about(at)
    )


if __name__ == "__main__":
    launch(main, __file__)
