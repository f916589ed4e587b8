"""Table 5: Breakout against BreakoutInfinite, whose bricks return for ever (extra `atari-ram`)."""

import dataclasses
from typing import Any

import numpy as np

from experiments.claims import Claim, Table, judge
from experiments.free_lunch.agents import models, train
from experiments.free_lunch.looks import PLAYER
from experiments.free_lunch.paper import INFINITE, model_of, most_steps
from experiments.free_lunch.table3 import EPISODES
from experiments.scale import Experiment, Tiny, launch

GAMES = ("Breakout-v5", "BreakoutInfinite-v5")
END = 864  # points: no brick is left


def can_play() -> str:
    """Why BreakoutInfinite cannot be played here; "" where it can."""
    from rljax_viz.envs import make, make_preset

    try:
        make(GAMES[1], 1, make_preset("baselines", GAMES[1]))
    except (ValueError, ImportError) as error:
        return str(error)
    return ""


def play(agent: Any, game: str, episodes: int) -> list[float]:
    """Returns of whole games of one agent, in the same view of either game."""
    from rljax_viz.envs import make
    from rljax_viz.runs import evaluate

    preset = dataclasses.replace(agent.preset.for_evaluation(), env_id=game, max_episode_steps=most_steps(game))
    result = evaluate(agent, episodes, seed=20_000, env=make(game, min(16, episodes), preset))
    return result.returns.tolist()


def both(at: Experiment, name: str, agents: list[Any], episodes: int) -> dict[str, list[list[float]]]:
    """`{game: [returns of each seed]}`."""
    return {game: at.part(f"{game}-{name}", lambda g=game: [play(a, g, episodes) for a in agents]) for game in GAMES}


def claims(found: dict[str, dict[str, list[list[float]]]], why: str) -> list[Claim]:
    texts = ("all models score higher where the bricks return", "the difference never exceeds 8 %",
             "no game of Breakout gives more than 864 points")  # fmt: skip
    if not found:
        return [judge("Table 5, 6.2", text, None, f"not played: {why}") for text in texts]
    mean = {n: [float(np.mean(games[game])) for game in GAMES] for n, games in found.items()}
    best = [max(max(map(max, games[game])) for games in found.values()) for game in GAMES]
    reached = best[0] >= END or best[1] > END
    told = "; ".join(f"{n}: {a:.0f} and {b:.0f}" for n, (a, b) in mean.items())
    told += f"; best game {best[0]:.0f} and {best[1]:.0f}"
    short = f"{told}: no game cleared both walls" if not reached else told
    return [
        judge("Table 5, 6.2", texts[0], all(b > a for a, b in mean.values()) if reached else None, short),
        judge("Table 5, 6.2", texts[1], all(b < 1.08 * a for a, b in mean.values()) if reached else None, short),
        judge("6.2", texts[2], best[0] <= END if reached else None, short),
    ]


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    from rljax_viz.runs import load_agent

    why, found = can_play(), {}
    if not why and at.smoke:  # the agent that ships is the one that plays well
        found["nature"] = both(at, "zoo", [load_agent(PLAYER)], 1 if tiny else 4)
    elif not why:
        for model in models(at, tiny):
            agents = [load_agent(trained.run) for trained in train(at, model, GAMES[0], tiny)]
            found[model.network] = both(at, model.network, agents, 4 if tiny else EPISODES)
    rows = []
    for network, games in found.items():
        cells = [f"{np.mean(games[game]):.0f} ± {np.std(games[game]):.0f}" for game in GAMES]
        rows.append((model_of(network).label, *cells, *INFINITE[network]))
    table = Table("Mean and deviation over games", ("model", *GAMES, "paper", "paper, infinite"), rows)
    notes = ["At smoke scale only the Breakout agent that ships plays, a few games: it does not clear the second wall."]
    at.report("Free-lunch saliency, Table 5: Breakout without an end", claims(found, why), [table] if rows else [],
              (), notes if at.smoke else [])  # fmt: skip


if __name__ == "__main__":
    launch(main, __file__)
