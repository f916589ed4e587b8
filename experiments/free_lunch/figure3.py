"""Figures 3, 6 and 7: reward curves of the architectures while they learn."""

from typing import Any, Literal

from experiments.claims import MARGIN, Claim, Table, difference, judge, settled
from experiments.free_lunch.agents import games, models, train
from experiments.free_lunch.paper import SIZES, model_of
from experiments.scale import Experiment, Tiny, launch

ABLATIONS = ("sparse-fls", "sparse-fls-norm", "sparse-fls-1x1", "sparse-fls-softplus2", "sparse-fls-sum-pool")
WITHOUT = ("rs", "rs-no-padding", "sparse-fls-no-relu", "sparse-fls-no-relu-sum-pool", "dense-fls-no-relu-sum-pool")
FIGURES = {"figure3": tuple(SIZES), "figure6": ABLATIONS, "figure7": ("nature", *WITHOUT)}

SHORT = (
    "At this scale the paper's networks see 204,800 frames of the real game, a thousandth of the paper's: enough to play "
    "better than at random, and to tell what hinders learning from what does not; not the paper's numbers."
)
TWINS = (
    "At smoke scale the models are small twins of the paper's (two convolutions) on MinAtar's Breakout, trained for a "
    "thousandth of the paper's steps: a verdict there is about the conclusion, not about the paper's numbers."
)
JUDGED = (
    "A difference is judged by its 95 % interval over seeds (Welch's), in which every game is measured by the other model's "
    f"mean: two models are alike where the interval holds no difference of {MARGIN:.0%} or more, one is lower where all of "
    "it is below 0. Where the interval leaves a claim open, more seeds are needed: beyond this scale."
)


def curves(at: Experiment, tiny: bool = False) -> dict[str, dict[str, tuple[list[int], list[list[float]]]]]:
    """`{game: {network: (steps[U], means[seeds U])}}`, Baselines' eprewmean; trains what is not trained yet."""
    from experiments.training import curve

    found: dict[str, dict[str, Any]] = {game: {} for game in games(at)}
    for game in found:
        for model in models(at, tiny):
            runs = dict.fromkeys(agent.run for agent in train(at, model, game, tiny))
            parts = [curve(run) for run in runs]
            found[game][model.network] = (parts[0][0], [line for _, lines in parts for line in lines])
    return found


def last(found: dict[str, Any], game: str, network: str) -> Any:
    """The last value of each seed's curve, [seeds]."""
    import numpy as np

    return np.array([line[-1] for line in found[game][network][1]])


def claims(found: dict[str, Any]) -> list[Claim]:
    """What the paper says of the curves' ends, over all games."""
    import numpy as np

    wanted: list[tuple[str, str, str, str, Literal["lower", "kept", "similar"]]] = [
        ("Fig. 3, 4.2", "Sparse FLS performs similarly to the baseline (not a quarter below it)", "sparse-fls", "nature",
         "kept"),
        ("Fig. 3, 4.2", "Dense FLS achieves lower rewards than Sparse FLS", "dense-fls-sum-pool", "sparse-fls", "lower"),
        ("Fig. 6, 4.2", "sum-pooling makes the model perform worse", "sparse-fls-sum-pool", "sparse-fls", "lower"),
        ("Fig. 7", "RS-PPO without padding performs about as well as RS-PPO", "rs-no-padding", "rs", "similar"),
    ]  # fmt: skip
    have, told = set.intersection(*(set(networks) for networks in found.values())), []
    for source, text, network, other, kind in wanted:
        if network not in have or other not in have:
            told.append(judge(source, text, None, "not trained at this scale"))
            continue
        ours, theirs = (np.stack([last(found, game, n) for game in found], -1) for n in (network, other))
        more = difference(ours, theirs)
        words = f"{network} ends at {more.value:+.0%} [{more.low:+.0%}, {more.high:+.0%}] of {other}"
        told.append(judge(source, text, settled(more, kind), words))
    return told


def drawn(at: Experiment, found: dict[str, Any]) -> list[str]:
    """The three pictures, with the models that are there."""
    from experiments.charts import write_curves

    labels = {network: model_of(network) for network in next(iter(found.values()))}
    names = []
    for figure, networks in FIGURES.items():
        have = [network for network in networks if network in labels]
        if len(have) > 1:
            panels = {game: {labels[n].label: lines[n] for n in have} for game, lines in found.items()}
            names.append(write_curves(at.folder / f"{figure}.png", panels, "environment steps", "return, last 100 games"))
    return names


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    from rljax_viz.measure import stratified_bootstrap

    found = curves(at, tiny)
    rows = [
        (model.label, *(str(stratified_bootstrap(last(found, game, model.network))) for game in found))
        for model in models(at, tiny)
    ]
    table = Table("Mean return of the last 100 games of training, over seeds: IQM [95 % interval]", ("model", *found), rows)
    told = [JUDGED, *at.choose([TWINS], [], [SHORT])]
    at.report("Free-lunch saliency, figures 3, 6, 7: reward curves", claims(found), [table], drawn(at, found), told)


if __name__ == "__main__":
    launch(main, __file__)
