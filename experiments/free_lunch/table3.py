"""Table 3 and figures 8-14: scores of trained agents over seeds, with interquartile means and 95 % intervals."""

import dataclasses
from typing import Any, Literal

from experiments.claims import Claim, Table, difference, judge, settled
from experiments.free_lunch.agents import Trained, games, models, network_of, train
from experiments.free_lunch.figure3 import JUDGED, SHORT, TWINS
from experiments.free_lunch.paper import GAMES, SCORES, model_of, most_steps
from experiments.scale import Experiment, Tiny, launch

EPISODES = 8192  # of each agent, 16 games at once, as in the paper
SMOKE_EPISODES = 64


def play(agents: list[Trained], episodes: int) -> list[dict[str, list[float]]]:
    """Unclipped returns and lengths of whole games for each agent, with actions drawn from its policy."""
    from rljax_viz.runs import evaluate, load_agent

    found = []
    for trained in agents:
        agent = load_agent(trained.run, seed_index=trained.seed_index)
        preset = agent.preset.for_evaluation()
        if preset.max_episode_steps:  # of Atari's games
            preset = dataclasses.replace(preset, max_episode_steps=most_steps(preset.env_id))
        result = evaluate(agent, episodes, seed=10_000, env=agent.make_env(min(16, episodes), preset=preset))
        found.append({"returns": result.returns.tolist(), "lengths": result.lengths.tolist()})
    return found


def scores(at: Experiment, tiny: bool = False) -> dict[str, dict[str, Any]]:
    """`{game: {network: [{returns, lengths} of each seed]}}`."""
    episodes = 4 if tiny else at.choose(SMOKE_EPISODES, EPISODES, SMOKE_EPISODES // 2)
    found: dict[str, dict[str, Any]] = {game: {} for game in games(at)}
    for game in found:
        for model in models(at, tiny):
            agents = train(at, model, game, tiny)
            name = f"scores/{game}-{network_of(at, model)}"
            found[game][model.network] = at.part(name, lambda a=agents: play(a, episodes))
    return found


def means(found: dict[str, Any], network: str) -> Any:
    """Mean return of each seed on each game, [seeds games]."""
    import numpy as np

    return np.array([[np.mean(seed["returns"]) for seed in found[game][network]] for game in found]).T


def against(found: dict[str, Any], network: str, other: str) -> tuple[Any, float]:
    """By how much of `other`'s mean a game `network` scores more, and how often it wins."""
    import numpy as np

    from rljax_viz.measure import probability_of_improvement

    ours, theirs = means(found, network), means(found, other)
    wins = float(np.mean([probability_of_improvement(a, b) for a, b in zip(ours.T, theirs.T, strict=True)]))
    return difference(ours, theirs), wins


def claims(found: dict[str, Any]) -> list[Claim]:
    """The conclusions of section 4.2, as far as both models were run."""
    wanted: list[tuple[str, str, str, Literal["lower", "kept", "similar"]]] = [
        ("Sparse FLS performs similarly to the baseline (not a quarter below it)", "sparse-fls", "nature", "kept"),
        ("Sparse FLS + sum-pooling is much lower than Sparse FLS", "sparse-fls-sum-pool", "sparse-fls", "lower"),
        ("normalising the FLS module's output makes the model perform worse", "sparse-fls-norm", "sparse-fls", "lower"),
        ("Dense FLS + sum-pooling is lower than Sparse FLS", "dense-fls-sum-pool", "sparse-fls", "lower"),
        ("1x1 convolutions in the module make little difference", "sparse-fls-1x1", "sparse-fls", "similar"),
        ("SoftPlus2 does not significantly affect performance", "sparse-fls-softplus2", "sparse-fls", "similar"),
        ("without the ReLU before the attention Sparse FLS is lower (Fig. 7)", "sparse-fls-no-relu", "sparse-fls", "lower"),
        ("and so it is with sum-pooling (Fig. 7)", "sparse-fls-no-relu-sum-pool", "sparse-fls-sum-pool", "lower"),
        ("FLS after the first layer does not significantly affect performance", "sparse-fls-conv1", "sparse-fls", "similar"),
        ("FLS after each layer does not impact performance", "sparse-fls-each-conv", "sparse-fls", "similar"),
        ("RS-PPO scores lower than Sparse FLS", "rs", "sparse-fls", "lower"),
        ("DAQN scores lower than Sparse FLS", "daqn", "sparse-fls", "lower"),
    ]  # fmt: skip
    have, told = set.intersection(*(set(networks) for networks in found.values())), []
    for text, network, other, kind in wanted:
        if network not in have or other not in have:
            told.append(judge("Table 3, 4.2", text, None, "not trained at this scale"))
            continue
        more, wins = against(found, network, other)
        words = f"{network} scores {more.value:+.0%} [{more.low:+.0%}, {more.high:+.0%}] of {other}; wins {wins:.0%}"
        told.append(judge("Table 3, 4.2", text, settled(more, kind), words))
    return told


def table(at: Experiment, found: dict[str, Any]) -> Table:
    from rljax_viz.measure import stratified_bootstrap

    rows = []
    for model in map(model_of, next(iter(found.values()))):
        columns = []
        for k, game in enumerate(found):
            columns.append(str(stratified_bootstrap(means(found, model.network)[:, k])))
            short = game.removesuffix("-v5")
            columns += [SCORES[model.network][GAMES.index(short)]] if short in GAMES else []
        rows.append((model.label, network_of(at, model), *columns))
    header = [word for game in found for word in ((game, "paper") if game.removesuffix("-v5") in GAMES else (game,))]
    return Table("Scores: IQM over seeds [95 % interval]", ("model", "network here", *header), rows)


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    from experiments.charts import write_intervals, write_scatter
    from rljax_viz.measure import stratified_bootstrap

    found = scores(at, tiny)
    labels = {model.network: model.label for model in models(at, tiny)}
    panels = {
        game: {labels[n]: stratified_bootstrap(means(found, n)[:, k]) for n in labels} for k, game in enumerate(found)
    }
    pictures = [write_intervals(at.folder / "table3.png", panels, "mean return: IQM over seeds, 95 % interval")]
    for game, networks in found.items():
        games_of = {
            labels[n]: tuple([x for seed in seeds for x in seed[what]] for what in ("lengths", "returns"))
            for n, seeds in networks.items()
        }
        pictures.append(write_scatter(at.folder / f"episodes-{game}.png", games_of, "steps", "return"))
    notes = [
        "Intervals of the table: percentiles of a stratified bootstrap over seeds, which are few: between them, not around "
        "them. " + JUDGED,
    ]
    notes += at.choose([TWINS], [], [SHORT])
    at.report("Free-lunch saliency, Table 3: scores", claims(found), [table(at, found)], pictures, notes)


if __name__ == "__main__":
    launch(main, __file__)
