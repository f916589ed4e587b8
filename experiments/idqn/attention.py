"""Figures 9 and 14, ablation and sensitivity: attention over keys, saliency beside it, and what each loss is for."""

from typing import Any

import numpy as np

from experiments.claims import Table, judge
from experiments.idqn.agents import SMALL, channels_of, main_game, outputs, train, watched
from experiments.scale import Experiment, Tiny, launch

#: what is switched off or made stronger: settings that differ from the paper's 1, 1, 0.05, 0.01
VARIANTS: dict[str, dict[str, float]] = {
    "all four losses": {},
    "Bellman only": {"distributional": 0.0, "reconstruction": 0.0, "diversity": 0.0},
    "no distributional": {"distributional": 0.0},
    "no reconstruction": {"reconstruction": 0.0},
    "no diversity": {"diversity": 0.0},
    "reconstruction 0.5": {"reconstruction": 0.5},
    "Bellman 10": {"bellman": 10.0},
    "distributional 10": {"distributional": 10.0},
}


def measured(at: Experiment, name: str, settings: dict[str, float], tiny: bool) -> dict[str, Any]:
    """Score in training, how concentrated the attention is, how many keys a batch of states uses, the error of states."""
    from experiments.training import curve
    from rljax_viz.features import attention_by_value
    from rljax_viz.runs import load_agent

    run = train(at, main_game(at), name="" if not settings else name, tiny=tiny, **settings)
    agent = load_agent(run)
    seen = watched(at, agent, 64 if tiny else 500, greedy=False)
    found = outputs(agent, seen.obs)
    weights = found["weights"][np.arange(len(seen.action)), seen.action]
    line = np.array(curve(run)[1][0])
    error = 0.5 * (((found["reconstruction"] - seen.obs) / 255) ** 2).sum((1, 2, 3)).mean()
    by_value = np.asarray(attention_by_value(found["weights"], agent.params["constants"]["values"]))
    maps = [by_value[i].tolist() for i in np.linspace(0, len(weights) - 1, 3).astype(int)]
    return {
        "score": float(line[~np.isnan(line)][-1]) if not np.isnan(line).all() else float("nan"),
        "largest": float(weights.max(1).mean()),
        "keys": len(np.unique(weights.argmax(1))),
        "error": float(error),
        "maps": maps,
    }


def draw_maps(at: Experiment, found: dict[str, Any], actions: tuple[str, ...]) -> str:
    """Figure 9: attention (actions x keys) on three states, with and without the diversity error."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = ("all four losses", "no diversity")
    figure = Figure((10, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3, sharex=True, sharey=True)
    for line, name in zip(axes, rows, strict=True):
        for axis, map in zip(line, found[name]["maps"], strict=True):
            shown = axis.imshow(np.array(map), vmin=0, vmax=1, aspect="auto", cmap="viridis")
            axis.set_yticks(range(len(actions)), actions, fontsize=8)
        line[0].set_title(name, loc="left", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("key, from the lowest value to the highest", fontsize=8)
    figure.colorbar(shown, ax=axes, label="attention")
    figure.savefig(at.folder / "figure9.png", dpi=110)
    return "figure9.png"


def draw_saliency(at: Experiment, tiny: bool) -> str:
    """Figure 14: attention and, beside it, the perturbation map of each action's q."""
    import jax

    from rljax_viz.explain import occlusion, scores
    from rljax_viz.report import write_gallery
    from rljax_viz.runs import load_agent

    agent = load_agent(train(at, main_game(at), tiny=tiny))
    seen = watched(at, agent, 64 if tiny else 1000)
    side = min(agent.obs_shape[:2])
    window, stride = (2, 1) if side < 36 else (8, 4)
    moment = len(seen.obs) // 2
    maps = {}
    for action, name in enumerate(agent.action_names):
        explain = jax.jit(occlusion(agent.f, scores.q(action), window, stride))
        maps[f"q({name}), occlusion"] = np.asarray(explain(agent.params, seen.obs[moment]))
    c = channels_of(agent)
    write_gallery(at.folder / "figure14.png", seen.obs[moment][..., -c:], maps, title=f"Saliency per action, step {moment}")
    return "figure14.png"


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    from rljax_viz.runs import load_agent

    names = ("all four losses", "no diversity") if tiny else tuple(VARIANTS)
    found = {name: at.part(name, lambda n=name: measured(at, n, VARIANTS[n], tiny)) for name in names}
    agent = load_agent(train(at, main_game(at), tiny=tiny))
    pictures = [draw_maps(at, found, agent.action_names), at.part("figure14", lambda: draw_saliency(at, tiny))]
    rows = [(name, one["score"], one["largest"], one["keys"], one["error"]) for name, one in found.items()]
    whole, bare = found["all four losses"], found["no diversity"]
    claims = [
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
    if not tiny:
        strong, none = found["reconstruction 0.5"], found["no reconstruction"]
        claims += [
            judge(
                "Fig. 9",
                "the distributional error raises the score over the Bellman error alone",
                whole["score"] > found["Bellman only"]["score"],
                f"{whole['score']:.3g} against {found['Bellman only']['score']:.3g}",
            ),
            judge(
                "Losses",
                "without the reconstruction error states cannot be reconstructed",
                none["error"] > 2 * whole["error"],
                f"half the squared error {none['error']:.3g} against {whole['error']:.3g}",
            ),
            judge(
                "Sensitivity",
                "a reconstruction weight of 0.5 lowers the score",
                strong["score"] < whole["score"],
                f"{strong['score']:.3g} against {whole['score']:.3g}",
            ),
        ]
    header = ("losses", "return, last 100 games", "largest weight", "keys in use", "error of states")
    notes = ["One seed a variant: small differences of scores say nothing."]
    at.report(
        "i-DQN, figures 9 and 14, ablation and sensitivity",
        claims,
        [Table("Each loss", header, rows)],
        pictures,
        [*notes, *([SMALL] if at.smoke else [])],
    )


if __name__ == "__main__":
    launch(main, __file__)
