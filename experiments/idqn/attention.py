"""Figures 9 and 14, ablation and sensitivity: attention over keys, saliency beside it, and what each loss is for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.claims import Claim, Table, judge
from experiments.idqn.agents import about, as_picture, channels_of, legend, main_game, outputs, train, watched
from experiments.pictures import write_legend
from experiments.scale import Experiment, Tiny, launch

WHOLE = "all four losses"
#: figure 9, of Pong at paper scale: what is switched off of the weights 1, 1, 0.05, 0.01
LOSSES: dict[str, dict[str, float]] = {
    WHOLE: {},
    "no reconstruction": {"reconstruction": 0.0},
    "diversity and Bellman": {"distributional": 0.0, "reconstruction": 0.0},
    "no diversity": {"diversity": 0.0},
}
#: figure 9a, one loss more at a time
ADDED = {
    "diversity and Bellman": "diversity and Bellman", "and distributional": "no reconstruction", "and reconstruction": WHOLE,
}  # fmt: skip
#: section "Sensitivity to hyperparameters", of MsPacman at paper scale
WEIGHTS: dict[str, dict[str, float]] = {
    WHOLE: {},
    "reconstruction 0.5": {"reconstruction": 0.5},
    "reconstruction 5": {"reconstruction": 5.0},
    "both 10": {"bellman": 10.0, "distributional": 10.0},
    "Bellman 10": {"bellman": 10.0},
    "distributional 10": {"distributional": 10.0},
    "exploration 0.1": {"exploration": 0.1},
    "exploration 0.001": {"exploration": 0.001},
}
FEW = (WHOLE, "no diversity")  # of a tiny run, and at smoke scale on a real game: those of figure 9b and c


def measured(at: Experiment, run: Path, states: np.ndarray, tiny: bool) -> dict[str, Any]:
    """Each seed's score in training; of the first, how concentrated the attention is, how many keys its states use, and the
    error of reconstructing them.

    `maps` are the attention of all actions on states[M H W C], which are the same for every agent.
    """
    from experiments.training import best
    from rljax_viz.features import attention_by_value
    from rljax_viz.runs import load_agent

    agent = load_agent(run)
    seen, found = watched(at, agent, 64 if tiny else 500)
    weights = found["weights"][np.arange(len(seen.action)), seen.action]
    error = 0.5 * (((found["reconstruction"] - seen.obs) / 255) ** 2).sum((1, 2, 3)).mean()
    maps = attention_by_value(outputs(agent, states)["weights"], agent.params["constants"]["values"])
    return {
        "score": best(run),
        "largest": float(weights.max(1).mean()),
        "keys": len(np.unique(weights.argmax(1))),
        "error": float(error),
        "maps": np.asarray(maps).tolist(),
    }


def draw_maps(
    at: Experiment, agent: Any, moments: list[int], states: np.ndarray, found: dict[str, Any], game: str
) -> str:
    """Figure 9b and c: attention (actions x keys) on three states, with and without the diversity error."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, values = FEW, np.sort(np.asarray(agent.params["constants"]["values"]))
    top = max(np.max(found[name]["maps"]) for name in rows)
    figure = Figure((10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(states), height_ratios=(1.5, 1, 1))
    for axis, moment, state in zip(axes[0], moments, states, strict=True):
        axis.imshow(as_picture(state.astype(np.float32), channels_of(agent)), interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"state at step {moment}", fontsize=10)
    ticks = np.linspace(0, len(values) - 1, 5).round().astype(int)
    for line, name in zip(axes[1:], rows, strict=True):
        for axis, one in zip(line, found[name]["maps"], strict=True):
            shown = axis.imshow(np.array(one), vmin=0, vmax=top, aspect="auto", cmap="viridis")
            axis.set_yticks(range(len(agent.action_names)), agent.action_names, fontsize=8)
            axis.set_xticks(ticks, [f"{values[i]:.0f}" for i in ticks], fontsize=8)
        line[0].set_title(name, loc="left", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("value of the key", fontsize=8)
    figure.colorbar(shown, ax=axes, label="attention (a row sums to 1)", shrink=0.6, anchor=(0, 0), panchor=False)
    if words := legend(game):
        write_legend(figure, words)
    figure.suptitle("Attention of each action over its keys, on the same states")
    figure.savefig(at.folder / "figure9.png", dpi=110)
    return "figure9.png"


def draw_saliency(at: Experiment, agent: Any, moment: int, state: np.ndarray) -> str:
    """Figure 14: perturbation maps of each action's q, and below each the action's attention over its keys.

    Spots and blur as in the authors' code (FACTS I10), but each frame of the stack is blurred for itself.
    """
    import jax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from rljax_viz.explain import perturbation, scores
    from rljax_viz.report.panels import map_over

    radius, stride, sigma = (1, 1, 1.0) if min(agent.obs_shape[:2]) < 36 else (3, 3, 5.0)
    explain = [
        jax.jit(perturbation(agent.f, scores.q(a), radius, stride, sigma)) for a in range(len(agent.action_names))
    ]
    maps = [np.asarray(one(agent.params, state)) for one in explain]
    frame, found = state[..., -channels_of(agent) :], outputs(agent, state[None])
    values, full = np.asarray(agent.params["constants"]["values"]), float(max(np.abs(one).max() for one in maps))
    figure = Figure((2.3 * (1 + len(maps)), 4.8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # type: ignore[union-attr]
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 1 + len(maps), height_ratios=(1.6, 1), squeeze=False)
    axes[0, 0].imshow(as_picture(state.astype(np.float32), channels_of(agent)), interpolation="nearest")
    axes[0, 0].set_title(f"state at step {moment}", fontsize=9)
    axes[1, 0].set_axis_off()
    words = "Green: blurring this spot\nchanges the action's q.\n"
    words += f"Full colour: {full:.2g},\nhalf the squared change.\n\nBars: attention over\nthe action's keys."
    axes[1, 0].text(0, 1, words, va="top", fontsize=8)
    for a, (one, name) in enumerate(zip(maps, agent.action_names, strict=True)):
        axes[0, 1 + a].imshow(map_over(frame, one, 0.8, full), interpolation="nearest")
        axes[0, 1 + a].set_title(f"{name}: q {found['q'][0, a]:.2f}", fontsize=9)
        axes[1, 1 + a].bar(values, found["weights"][0, a], width=0.8 * np.ptp(values) / len(values))
        axes[1, 1 + a].set_ylim(0, 1.05 * found["weights"][0].max())
        axes[1, 1 + a].set_xlabel("value of the key", fontsize=8)
        axes[1, 1 + a].tick_params(labelsize=8)
    for axis in axes[0]:
        axis.set(xticks=[], yticks=[])
    axes[1, 1].set_ylabel("attention", fontsize=8)
    figure.suptitle("What each action's q rests on: places in the state, and keys", fontsize=11)
    if words := legend(main_game(at)):
        write_legend(figure, words)
    figure.savefig(at.folder / "figure14.png", dpi=110)
    return "figure14.png"


def lower(scores: Sequence[float], others: Sequence[float], margin: float = 0.2) -> bool | None:
    """Whether all of `scores` are below all of `others`, False where all are above; None where they overlap, where no game
    ended, and where one seed of each cannot say: less than `margin` apart.
    """
    apart = abs(scores[0] - others[0]) > margin * max(abs(scores[0]), abs(others[0]))
    if np.isnan([*scores, *others]).any() or (len(scores) == len(others) == 1 and not apart):
        return None
    return True if max(scores) < min(others) else False if min(scores) > max(others) else None


def told(scores: Sequence[float]) -> str:
    return " and ".join(f"{score:.3g}" for score in scores)


def compared(at: Experiment, game: str, variants: dict[str, Any], states: np.ndarray, tiny: bool) -> dict[str, Any]:
    """`{name: measured}` of an agent a variant, each trained on `game`."""
    found = {}
    for number, (name, settings) in enumerate(variants.items(), 1):
        at.say(f"agent {number} of {len(variants)} on {game}: {name}")
        run = trained(at, game, name, settings, tiny)
        found[name] = at.part(f"{game}/{name}", lambda run=run: measured(at, run, states, tiny))
    return found


def trained(at: Experiment, game: str, name: str, settings: dict[str, float], tiny: bool) -> Path:
    """Of one seed, or (as in the paper) three at its scale."""
    seeds = 1 if tiny else at.choose(1, 3)
    name = " ".join([*["losses"] * (seeds > 1), *[name] * bool(settings)])  # of one seed it is the agent of the other figures
    return train(at, game, name=name, tiny=tiny, seeds=seeds, **settings)


def looked_at(at: Experiment, game: str, tiny: bool) -> tuple[Any, list[int], np.ndarray]:
    """The agent with all losses, three moments of its game, and its states there."""
    from rljax_viz.runs import load_agent

    agent = load_agent(trained(at, game, WHOLE, {}, tiny))
    obs = watched(at, agent, 64 if tiny else 500)[0].obs
    moments = [len(obs) // 6 * k for k in (1, 3, 5)]
    return agent, moments, obs[moments]


def draw_curves(at: Experiment, game: str) -> str:
    """Figure 9a: returns in training while one loss after the other is added, diversity always there."""
    from experiments.charts import write_curves
    from experiments.training import curve

    panels = {game: {label: curve(trained(at, game, name, LOSSES[name], False)) for label, name in ADDED.items()}}
    title = "One loss after the other is added"
    return write_curves(at.folder / "figure9a.png", panels, "environment steps", "return, last 100 games", title)


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    few, game = tiny or (at.smoke and at.atari), at.choose(main_game(at), "Pong-v5", main_game(at))
    at.folder.mkdir(parents=True, exist_ok=True)
    agent, moments, states = looked_at(at, game, tiny)
    found = compared(at, game, {name: LOSSES[name] for name in (FEW if few else LOSSES)}, states, tiny)
    pictures = [*([] if few else [draw_curves(at, game)]), draw_maps(at, agent, moments, states, found, game)]
    if game != main_game(at):
        agent, moments, states = looked_at(at, main_game(at), tiny)
    weighed = {} if few else compared(at, main_game(at), WEIGHTS, states, tiny)
    pictures.append(at.part("figure14", lambda: draw_saliency(at, agent, moments[1], states[1])))
    header = ("losses", "return", "largest weight", "keys in use", "error of states")
    tables = [
        Table(title, header, [(name, float(np.mean(one["score"])), one["largest"], one["keys"], one["error"])
                              for name, one in some.items()])
        for title, some in ((f"Each loss, on {game}", found), (f"Their weights, on {main_game(at)}", weighed)) if some
    ]  # fmt: skip
    notes = [
        "Return: the best mean of 100 games in a row while learning, over seeds. A score is lower where all seeds are; "
        "scores of one seed less than a fifth apart are not judged. Largest weight: the mean attention on the key that a "
        "state looks at most; keys in use: how many different ones those are, over 500 states."
    ]
    at.report(
        "i-DQN, figures 9 and 14, ablation and sensitivity",
        [*claims(found), *(sensitivity(weighed) if weighed else [])],
        tables,
        pictures,
        [*notes, *about(at)],
    )


def claims(found: dict[str, Any]) -> list[Claim]:
    """What the paper says of its losses; of the variants that there are."""
    whole, bare = found[WHOLE], found["no diversity"]
    judged = [
        judge(
            "Fig. 9",
            "without the diversity error attention spreads over more of the keys of an action",
            whole["largest"] > bare["largest"],
            f"mean largest weight {whole['largest']:.2f} with, {bare['largest']:.2f} without",
        ),
        judge(
            "Fig. 9",
            "with the diversity error a batch of states uses more different keys",
            whole["keys"] > bare["keys"],
            f"{whole['keys']} keys with, {bare['keys']} without",
        ),
    ]
    if "no reconstruction" in found:
        none, alone = (found[name] for name in ("no reconstruction", "diversity and Bellman"))
        judged += [
            judge(
                "Fig. 9a",
                "the distributional error raises the score over the Bellman error alone, diversity beside both",
                lower(alone["score"], none["score"]),
                f"{told(alone['score'])} without, {told(none['score'])} with it; with reconstruction {told(whole['score'])}",
            ),
            judge(
                "Losses",
                "without the reconstruction error states cannot be reconstructed",
                none["error"] > 2 * whole["error"],
                f"half the squared error {none['error']:.3g} without, {whole['error']:.3g} with",
            ),
        ]
    return judged


def sensitivity(found: dict[str, Any]) -> list[Claim]:
    """Which weights of the losses lower the score, and that of exploration, which hardly does."""
    score = {name: one["score"] for name, one in found.items()}
    pairs = [("reconstruction 0.5", WHOLE, "a reconstruction weight of 0.5 lowers the score"),
             ("reconstruction 5", WHOLE, "a reconstruction weight of 5 lowers the score"),
             ("both 10", WHOLE, "Bellman and distributional weights of 10 lower the score"),
             ("Bellman 10", "distributional 10",
              "a weight of 10 on the Bellman error scores less than on the distributional one")]  # fmt: skip
    judged = [judge("Sensitivity", text, lower(score[one], score[other]), f"{told(score[one])} against {told(score[other])}")
              for one, other, text in pairs]  # fmt: skip
    whole, *others = (float(np.mean(score[name])) for name in (WHOLE, "exploration 0.1", "exploration 0.001"))
    alike = None if np.isnan([whole, *others]).any() else all(abs(one - whole) <= 0.2 * max(one, whole) for one in others)
    return [*judged, judge("Sensitivity", "an exploration weight of 0.1 or 0.001 does not change the score by a fifth", alike,
                           f"{told(others)} against {whole:.3g} with 0.01")]  # fmt: skip


if __name__ == "__main__":
    launch(main, __file__)
