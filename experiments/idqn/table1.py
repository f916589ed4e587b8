"""Table 1 and figure 8: scores and training curves of i-DQN against double DQN."""

from pathlib import Path
from typing import Any

from experiments.claims import Table, judge
from experiments.idqn.agents import about, games, train
from experiments.scale import Experiment, Tiny, launch

#: table 1, 10 million frames: DDQN, i-DQN
PAPER = {
    "Alien": (1533.45, 2380.72),
    "Freeway": (22.5, 28.79),
    "Frostbite": (754.48, 3968.45),
    "Gravitar": (279.89, 517.33),
    "MsPacman": (2251.43, 6132.21),
    "Qbert": (10226.93, 19137.6),
    "SpaceInvaders": (563.2, 979.45),
    "Venture": (70.87, 985.11),
}
BASELINE = (
    "Double DQN has the settings of the authors' code (10,000 steps in memory, epsilon over 1 of 2.5 million steps, clipped "
    "rewards, a lost life is no end), but a hidden layer of 512."
)
ALGORITHMS = {"DDQN": "double-dqn", "i-DQN": "idqn"}


def scores(runs: dict[str, Path]) -> dict[str, Any]:
    """`{label: {"steps", "curves", "score"}}`: the best mean return of 100 games in training, of each seed its own."""
    from experiments.training import best, curve

    curves = {label: curve(run) for label, run in runs.items()}
    return {label: {"steps": steps, "curves": lines, "score": best(runs[label])} for label, (steps, lines) in curves.items()}


def cost(runs: dict[str, Path], updates: int) -> dict[str, float]:
    """Seconds of one update of each, learning: the least of several, taken in turn so that a busy machine slows both."""
    import time

    import jax

    from rljax_viz.runs import RunConfig
    from rljax_viz.runs.train import make_loop

    loops, states = {}, {}
    for label, run in runs.items():
        config = RunConfig.load(run)
        loops[label] = make_loop(config)
        states[label] = loops[label].init()
        for _ in range(1 + -(-config.algorithm.learn_start // loops[label].steps_per_update)):  # up to where it learns
            states[label], _ = loops[label].update(states[label])
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(updates):
        for label, loop in loops.items():
            begin = time.perf_counter()
            states[label], _ = jax.block_until_ready(loop.update(states[label]))
            least[label] = min(least[label], time.perf_counter() - begin)
    return least


def better(mine: list[float], other: list[float]) -> bool | None:
    """Whether every seed of `mine` scored above every seed of `other`; None where they overlap."""
    return True if min(mine) > max(other) else False if max(mine) < min(other) else None


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    import numpy as np

    from experiments.charts import write_curves

    where, seeds = (games(at)[:1] if tiny else games(at)), (1 if tiny else at.choose(2, 3, 1))
    runs: dict[str, dict[str, Path]] = {}
    for game in where:
        for label, algo in ALGORITHMS.items():
            at.say(f"{game}, {label}, {seeds} seeds")
            name = "scores" if seeds > 1 else ""  # of one seed it is the agent of the other figures
            runs.setdefault(game, {})[label] = train(at, game, algo, name=name, tiny=tiny, seeds=seeds)
    found = {game: at.part(game, lambda g=game: scores(runs[g])) for game in where}
    seconds = at.part("cost", lambda: cost(runs[where[0]], 2 if tiny else 5))
    verdicts = [better(both["i-DQN"]["score"], both["DDQN"]["score"]) for both in found.values()]
    above, below = verdicts.count(True), verdicts.count(False)
    each = lambda one: " and ".join(f"{score:.3g}" for score in one["score"])  # noqa: E731
    told = "; ".join(f"{game}: {each(both['i-DQN'])}, double DQN {each(both['DDQN'])}" for game, both in found.items())
    times = seconds["i-DQN"] / seconds["DDQN"]
    claims = [
        judge(
            "Table 1",
            "i-DQN reaches higher training scores than double DQN at the same number of steps",
            True if above > len(where) / 2 else False if below >= len(where) / 2 else None,
            f"i-DQN {told} (a game counts if all seeds of one are above all of the other)",
        ),
        judge(
            "Directed exploration",
            "training i-DQN takes about twice as long",
            1.5 < times < 2.5,
            f"{times:.2f} times (held to 1.5 to 2.5): an update of {where[0]} takes {seconds['i-DQN']:.2f} s, of double DQN "
            f"{seconds['DDQN']:.2f} s",
        ),
    ]
    mean = {game: {label: float(np.mean(v["score"])) for label, v in both.items()} for game, both in found.items()}
    rows = [
        (game, both["DDQN"], both["i-DQN"], *PAPER.get(game.removesuffix("-v5"), (None, None)))
        for game, both in mean.items()
    ]
    panels = {game: {label: (v["steps"], v["curves"]) for label, v in both.items()} for game, both in found.items()}
    title = f"Training curves: mean and deviation of {seeds} seeds" if seeds > 1 else "Training curves of one seed"
    picture = write_curves(at.folder / "figure8.png", panels, "environment steps", "return, last 100 games", title)
    header = ("game", "DDQN", "i-DQN", "DDQN in the paper", "i-DQN in the paper")
    at.report(
        "i-DQN, table 1 and figure 8: scores",
        claims,
        [Table("Best mean return of 100 games in a row, mean over seeds", header, rows)],
        [picture],
        [*[BASELINE] * at.atari, *about(at)],
    )


if __name__ == "__main__":
    launch(main, __file__)
