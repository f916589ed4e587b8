"""Table 4: what the methods show of a network that has hardly begun to learn, on the frames of the trained one."""

from typing import Any

import numpy as np

from experiments.claims import Claim, Table, above, both, decimals, highest, judge, most, shown
from experiments.gradient_saliency.agents import METHODS, agent_of, available, early_run, games_of, recorded, run_of
from experiments.gradient_saliency.entrance import write_index
from experiments.gradient_saliency.normalisation import strengths
from experiments.gradient_saliency.table1 import write_grid, write_page
from experiments.scale import Experiment, Tiny, launch


def compare(at: Experiment, name: str, game: str, tiny: bool) -> dict[str, Any]:
    """Every method's NSS on what moves, early and late; and the same for a network that has learned nothing."""
    import jax

    from experiments.gradient_saliency.grid import features, maps, mean, nss, seen_in, table1, upscaled
    from experiments.training import curve
    from rljax_viz.runs import load_agent
    from rljax_viz.store import Episodes

    run, update = early_run(at, name, game, tiny)
    early_return = curve(run)[1][0][update - 1]
    late_return = curve(run_of(at, name, game, tiny))[1][0][-1]
    late, early = agent_of(at, name, game, tiny), load_agent(run, update=update)
    keys = iter(jax.random.split(jax.random.key(0), len(jax.tree.leaves(late.params))))
    shuffled = jax.tree.map(lambda x: jax.random.permutation(next(keys), x.ravel()).reshape(x.shape), late.params)
    folder = recorded(at, name, game, 48 if tiny else 256, tiny)
    episodes = Episodes(folder / "episodes.zarr")
    seen = seen_in(episodes)
    obs = seen.obs
    mask = features(obs, obs.shape[-1] // late.preset.stack)
    found: dict[str, Any] = {"update": update, "returns": [early_return, late_return]}
    pairs = {}
    for when, agent in (("early", early), ("late", late), ("shuffled", late._replace(params=shuffled))):
        some = maps(agent, table1(agent), seen)
        scores = {cell.method: nss(upscaled(values, obs.shape[1:3]), mask) for cell, values in some.items()}
        found[when] = {method: None if np.isnan(v).all() else mean(v) for method, v in scores.items()}
        guided = some[table1(agent)[1]]
        found[when]["strength"] = float(strengths(guided).mean())
        found[when]["transition"] = float((np.minimum(guided.max((1, 2)), -guided.min((1, 2)))).mean())
        found[when]["edges"] = abs(alike(guided, edges(obs, late.preset.stack)))
        if when == "early":
            step, newest = len(obs) // 2, obs[..., -(obs.shape[-1] // late.preset.stack) :]
            labels = {cell.method: values for cell, values in some.items()}
            title = f"{name} on {game} after {update} updates, step {step}"
            picture = write_grid(at.folder / f"{game}-{name}-early.png", newest[step], labels, step, title)
            found["pictures"] = {"early checkpoint": picture}
        if when != "shuffled":
            pairs[when] = some
        if when == "late":
            late_guided = guided
        if when == "shuffled":
            found["like shuffled"] = abs(alike(late_guided, guided))
    title = f"{name} on {game}, early and trained: Rosynski et al., table 4"
    more = {"early": f"after update {update}, return {shown(early_return)}", "trained": f"return {shown(late_return)}"}
    series = side_by_side(pairs["early"], pairs["late"])
    found["page"] = write_page(at.folder / f"{game}-{name}.html", folder, series, title, more)
    return found


def side_by_side(early: dict[Any, np.ndarray], late: dict[Any, np.ndarray]) -> list[Any]:
    """`MapSeries` of every cell, that of the early network before that of the trained one."""
    from rljax_viz.report import MapSeries
    from rljax_viz.report.words import method_name, method_words
    from rljax_viz.runs.mapping import units

    return [
        MapSeries(f"{when} {method_name(cell.method)}", cell.score, some[cell], cell.layer, units(cell.method, cell.score),
                  f"Of the {when} network. {method_words(cell.method, cell.score)}")
        for cell in early for when, some in (("early", early), ("trained", late))
    ]  # fmt: skip


def edges(obs: np.ndarray, stack: int) -> np.ndarray:
    """|L1 * frame| of the newest frame [N H W], eq. 7: what an edge detector shows."""
    frame = obs[..., -(obs.shape[-1] // stack) :].astype(float).sum(-1)
    padded = np.pad(frame, ((0, 0), (1, 1), (1, 1)), "edge")
    beside = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    return np.abs(4 * frame - beside)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of the strengths of two maps, mean over frames where both vary."""
    from scipy.stats import spearmanr

    pairs = [(np.abs(a).ravel(), np.abs(b).ravel()) for a, b in zip(one, other, strict=True)]
    found = [spearmanr(a, b).statistic for a, b in pairs if np.ptp(a) > 0 and np.ptp(b) > 0]
    return float(np.mean(found)) if found else float("nan")


def claims(found: dict[str, dict[str, Any]]) -> list[Claim]:
    def told(words: Any) -> str:
        return "; ".join(f"{k}: {words(v)}" for k, v in found.items())

    def learned(v: dict[str, Any]) -> bool:  # who never plays better than early says nothing of learning
        return above(v["returns"][1], v["returns"][0]) is True

    def at_once(v: dict[str, Any]) -> bool | None:  # G1 stands out while the return is still under a third of its end
        early, late = v["returns"]
        return both(above(v["early"]["g1_grad_cam"], 0.5), above(late / 3, early)) if learned(v) else None

    def early(v: dict[str, Any]) -> dict[str, float | None]:
        return {method: v["early"][method] for method in METHODS}

    agents = found.values()
    return [
        judge("4.1, Fig. 47", "early in training G1 Grad-CAM gives the most interpretable maps of all methods",
              most(highest("g1_grad_cam", early(v)) for v in agents),
              told(lambda v: ", ".join(f"{m} {decimals(nss)}" for m, nss in early(v).items()))),
        judge("4.1, 5", "G1 Grad-CAM shows that the network learns before the reward does", most(map(at_once, agents)),
              told(lambda v: f"NSS {decimals(v['early']['g1_grad_cam'])} at return "
                             f"{decimals(v['returns'][0])} of {decimals(v['returns'][1])}")),
        judge("4.1, 4.3", "the better the agent, the stronger the transition between negative and positive gradients",
              most(above(v["late"]["transition"], v["early"]["transition"]) for v in agents if learned(v)),
              told(lambda v: f"{v['early']['transition']:.2e} early, {v['late']['transition']:.2e} late")),
        judge("5", "guided backpropagation is no edge detector: its maps are not those of the frame's edges",
              most(above(0.5, v["late"]["edges"]) for v in agents),
              told(lambda v: f"rank correlation {decimals(v['late']['edges'])}")),
        judge("5", "guided backpropagation depends on what was learned: shuffled weights give other maps",
              most(above(0.5, v["like shuffled"]) for v in agents),
              told(lambda v: f"rank correlation {decimals(v['like shuffled'])}")),
    ]  # fmt: skip


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    from experiments.gradient_saliency.agents import KINDS

    pairs = [(name, game) for name in available(at) if not KINDS[name].zoo for game in games_of(at, name)]
    found = {f"{name} on {game}": at.part(f"{game}-{name}", lambda n=name, g=game: compare(at, n, g, tiny))
             for name, game in pairs}  # fmt: skip
    rows = [
        (k, when, *(v[when][m] for m in METHODS), v[when]["strength"], v[when]["edges"])
        for k, v in found.items() for when in ("early", "late", "shuffled")
    ]  # fmt: skip
    header = ("agent", "weights", *METHODS, "strength of guided", "correlation with edges")
    at.report("Gradient saliency, Table 4: a network that has hardly learned", claims(found),
              [Table("NSS on moving features, and guided backpropagation", header, rows)],
              [picture for v in found.values() for picture in v["pictures"].values()],
              ["Explorer pages of the early checkpoint beside the trained one, on the same frames: "
               + ", ".join(f"[{k}]({v['page']})" for k, v in found.items()) + ". All pages: [index](../index.html)."])
    write_index(at)


if __name__ == "__main__":
    launch(main, __file__)
