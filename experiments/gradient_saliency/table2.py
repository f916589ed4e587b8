"""Table 2: the two streams by both gradients, and the Grad-CAM family at every convolution."""

from typing import Any

import numpy as np

from experiments.claims import Claim, Table, above, decimals, highest, judge, most
from experiments.gradient_saliency.agents import agent_of, available, games_of, recorded
from experiments.gradient_saliency.entrance import write_index
from experiments.scale import Experiment, Tiny, launch


def share_on(maps: np.ndarray, mask: np.ndarray) -> float:
    """Share of the maps' strength that lies on the mask, over all frames."""
    strength = np.abs(maps)
    return float((strength * mask).sum() / strength.sum())


def compare(at: Experiment, name: str, game: str, tiny: bool) -> dict[str, Any]:
    """Of one agent: NSS of every stream and layer, and how much of each stream lies on the agent's own figure."""
    from experiments.gradient_saliency.grid import (
        convolutions,
        features,
        maps,
        mean,
        nss,
        seen_in,
        stable,
        streams,
        table2,
        upscaled,
    )
    from rljax_viz.store import Episodes

    agent = agent_of(at, name, game, tiny=tiny)
    episodes = Episodes(recorded(at, name, game, 48 if tiny else 256, tiny) / "episodes.zarr")
    seen = seen_in(episodes)
    obs, found = seen.obs, maps(agent, table2(agent), seen)
    mask = features(obs, obs.shape[-1] // agent.preset.stack)
    scores = {cell: nss(upscaled(values, obs.shape[1:3]), mask) for cell, values in found.items()}
    heads = streams(agent)
    layers = convolutions(agent)
    own = own_figure(game, obs[..., -(obs.shape[-1] // agent.preset.stack) :])

    def cam(cell: Any) -> dict[str, float]:
        known = scores[cell][~np.isnan(scores[cell])]
        return {"nss": mean(known), "stable": stable(known), "inverted": mean(known < 0)}

    return {
        "streams": {score: {cell.method: {"nss": mean(scores[cell]), "own": None if own is None else share_on(values, own)}
                            for cell, values in found.items() if cell.score == score and cell.layer is None}
                    for score in heads},
        "layers": {layer: {cell.method: cam(cell) for cell in found if cell.layer == layer and cell.score == heads[0]}
                   for layer in layers},
        "critic": {cell.method: cam(cell) for cell in found if cell.layer and cell.score == "value"},
        "action": heads[-1] if "advantage:chosen" in heads else heads[0],
    }  # fmt: skip


def own_figure(game: str, newest: np.ndarray) -> np.ndarray | None:
    """Where Breakout's paddle is in the newest frames, [N H W]: MinAtar has a plane for it; Atari's moves in rows 75-79.

    None for other games.
    """
    if "Breakout" not in game:
        return None
    if "MinAtar" in game:
        return newest[..., 0] > 0
    mask = np.zeros(newest.shape[:3], bool)
    mask[:, 75:80] = True
    return mask


def claims(found: dict[str, dict[str, Any]]) -> list[Claim]:
    deep = {k: v for k, v in found.items() if len(v["layers"]) > 1}

    def layer(v: dict[str, Any], which: int, what: str) -> float:
        return list(v["layers"].values())[which]["grad_cam"][what]

    def told(what: str) -> str:
        return "; ".join(
            f"{k}: " + ", ".join(f"{name} {decimals(cams['grad_cam'][what])}" for name, cams in v["layers"].items())
            for k, v in deep.items()
        )

    best = [highest(next(iter(v["layers"])), {name: cams["grad_cam"]["nss"] for name, cams in v["layers"].items()})
            for v in deep.values()]  # fmt: skip
    inverted = [above(layer(v, -1, "inverted"), layer(v, 0, "inverted")) for v in deep.values()]
    guided = {k: {score: one["guided_backprop"]["own"] for score, one in v["streams"].items()} for k, v in found.items()}
    own = {k: (v[found[k]["action"]], v["value"]) for k, v in guided.items() if v.get("value") is not None}
    dueling = {k: pair for k, pair in own.items() if k.split()[0] in ("dddqn", "split-attention")}
    words = "share of strength on the paddle, advantage (or logit) against value: "
    words += "; ".join(f"{k}: {a:.3f} against {b:.3f}" for k, (a, b) in own.items())
    return [
        judge("3, 4.1", "Grad-CAM is best at the first convolution", most(best),
              f"NSS on moving features: {told('nss')}"),
        judge("4.1", "at higher layers Grad-CAM is inverted more often", most(inverted),
              f"share of frames with NSS below 0: {told('inverted')}"),
        judge("Fig. 8, 9", "the advantage stream looks more at the agent's own figure than the value stream",
              most(above(*pair) for pair in dueling.values()),
              words if dueling else f"no dueling agent here; {words}"),
    ]  # fmt: skip


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    pairs = [(name, game) for name in available(at) for game in games_of(at, name)]
    found = {f"{name} on {game}": at.part(f"{game}-{name}", lambda n=name, g=game: compare(at, n, g, tiny))
             for name, game in pairs}  # fmt: skip
    streams = [
        (k, score, method, one["nss"], one["own"])
        for k, v in found.items() for score, methods in v["streams"].items() for method, one in methods.items()
    ]  # fmt: skip
    layers = [
        (k, name, method, cam["nss"], cam["stable"], cam["inverted"])
        for k, v in found.items() for name, cams in [*v["layers"].items(), ("first, of the critic", v["critic"])]
        for method, cam in cams.items()
    ]  # fmt: skip
    tables = [
        Table("Gradients of the streams", ("agent", "score", "method", "NSS", "share on the own figure"), streams),
        Table("CAMs by layer", ("agent", "layer", "method", "NSS", "stable", "inverted"), layers),
    ]
    at.report("Gradient saliency, Table 2: streams and layers", claims(found), tables, (),
              ["The maps themselves are in the explorer pages of table1: [index](../index.html)."])  # fmt: skip
    write_index(at)


if __name__ == "__main__":
    launch(main, __file__)
