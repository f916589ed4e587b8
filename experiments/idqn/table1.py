"""Table 1 and figure 8: scores and training curves of i-DQN against double DQN."""

from typing import Any

from experiments.claims import Table, judge
from experiments.idqn.agents import SMALL, games, train
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
ALGORITHMS = {"DDQN": "double-dqn", "i-DQN": "idqn"}


def scores(at: Experiment, game: str, tiny: bool) -> dict[str, Any]:
    """`{label: {"steps", "curves", "score"}}`: the mean return of the last 100 games of training, a seed each."""
    import numpy as np

    from experiments.training import curve

    seeds, found = (1 if tiny else at.choose(2, 3)), {}
    for label, algo in ALGORITHMS.items():
        steps, lines = curve(train(at, game, algo, name="scores", tiny=tiny, seeds=seeds))
        last = [float(np.array(line)[~np.isnan(line)][-1]) if not np.isnan(line).all() else float("nan") for line in lines]
        found[label] = {"steps": steps, "curves": lines, "score": last}
    return found


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    import numpy as np

    from experiments.charts import write_curves

    where = games(at)[:1] if tiny else games(at)
    found = {game: at.part(game, lambda g=game: scores(at, g, tiny)) for game in where}
    mean = {game: {label: float(np.nanmean(v["score"])) for label, v in both.items()} for game, both in found.items()}
    rows = [
        (game, both["DDQN"], both["i-DQN"], *PAPER.get(game.removesuffix("-v5"), (None, None)))
        for game, both in mean.items()
    ]
    better = [game for game, both in mean.items() if both["i-DQN"] > both["DDQN"]]
    told = "; ".join(f"{game}: {both['i-DQN']:.3g} against {both['DDQN']:.3g}" for game, both in mean.items())
    claims = [
        judge(
            "Table 1",
            "i-DQN reaches higher training scores than double DQN at the same number of steps",
            len(better) > len(mean) / 2,
            told,
        ),
        judge(
            "Directed exploration", "training i-DQN takes about twice as long", None, "steps/s are those of a busy machine"
        ),
    ]
    panels = {game: {label: (v["steps"], v["curves"]) for label, v in both.items()} for game, both in found.items()}
    picture = write_curves(at.folder / "figure8.png", panels, "environment steps", "return, last 100 games")
    header = ("game", "DDQN", "i-DQN", "DDQN in the paper", "i-DQN in the paper")
    at.report(
        "i-DQN, table 1 and figure 8: scores",
        claims,
        [Table("Mean return of the last 100 games", header, rows)],
        [picture],
        [SMALL] if at.smoke else [],
    )


if __name__ == "__main__":
    launch(main, __file__)
