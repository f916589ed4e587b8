"""Figures 7, 13 and 15: states that were never seen, from objects that were: does the agent notice what was added?"""

from typing import Any

import numpy as np

from experiments.claims import judge
from experiments.idqn.agents import SMALL, as_picture, channels_of, main_game, outputs, sheet, train, watched
from experiments.scale import Experiment, Tiny, launch


def added_bricks(obs: np.ndarray) -> np.ndarray:
    """MinAtar's Breakout with one more row of bricks, below those that are there: obs[N 10 10 4] -> the same shape."""
    changed = obs.copy()
    changed[:, 4, :, 3] = 255
    return changed


def compare(at: Experiment, agent: Any, tiny: bool) -> dict[str, Any]:
    """Actions, certainty and attention before and after; a sheet of both."""
    from rljax_viz.features import pixelwise_maximum

    seen = watched(at, agent, 64 if tiny else 1000)
    c, rng = channels_of(agent), np.random.default_rng(0)
    pairs = rng.integers(0, len(seen.obs), (200, 2))
    mixed = np.stack([np.asarray(pixelwise_maximum(seen.obs[pair])) for pair in pairs])
    sets = {"seen": seen.obs, "maximum of two states": mixed}
    if at.smoke:
        sets["one more row of bricks"] = added_bricks(seen.obs)
    found = {name: outputs(agent, obs) for name, obs in sets.items()}
    action = {name: one["q"].argmax(1) for name, one in found.items()}
    sure = {
        name: float(one["weights"].max(2)[np.arange(len(one["q"])), action[name]].mean()) for name, one in found.items()
    }
    told: dict[str, Any] = {"sure": sure}
    told["like either"] = float(
        np.mean([action["maximum of two states"][i] in action["seen"][pair] for i, pair in enumerate(pairs)])
    )
    cells = {"a state": as_picture(seen.obs[pairs[0, 0]], c), "another": as_picture(seen.obs[pairs[0, 1]], c)}
    cells["their maximum"] = as_picture(mixed[0], c)
    if at.smoke:
        told["same action"] = float((action["one more row of bricks"] == action["seen"]).mean())
        cells["one more row of bricks"] = as_picture(sets["one more row of bricks"][pairs[0, 0]], c)
    told["picture"] = sheet(at.folder / "figure15.png", cells, "States that were never seen", "", 4, 200)
    return told


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    from rljax_viz.runs import load_agent

    agent = load_agent(train(at, main_game(at), tiny=tiny))
    found = at.part("states", lambda: compare(at, agent, tiny))
    sure, mixed = found["sure"]["seen"], found["sure"]["maximum of two states"]
    claims = [
        judge(
            "Fig. 15",
            "on the pixelwise maximum of two states the agent acts as on one of them",
            found["like either"] > 0.8,
            f"{found['like either']:.0%} of 200 pairs",
        ),
        judge(
            "Fig. 15",
            "and it stays about as certain as on states that it has seen",
            mixed > 0.8 * sure,
            f"mean largest weight {mixed:.2f} against {sure:.2f}",
        ),
    ]
    if "same action" in found:
        claims.append(
            judge(
                "Fig. 7",
                "an object added beside the trajectory does not change what the agent does",
                found["same action"] > 0.8,
                f"same action in {found['same action']:.0%} of the states (one more row of bricks)",
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
        "i-DQN, figures 7, 13, 15: states that were never seen", claims, (), [found["picture"]], [SMALL] if at.smoke else []
    )


if __name__ == "__main__":
    launch(main, __file__)
