"""Table 3, figure 1 and section 4.3: guided backpropagation on past frames, and the negative ring around features."""

from typing import Any

import numpy as np

from experiments.claims import Claim, Table, above, both, decimals, judge, most
from experiments.gradient_saliency.agents import agent_of, available, games_of, recorded
from experiments.gradient_saliency.entrance import write_index
from experiments.gradient_saliency.table1 import write_grid
from experiments.scale import Experiment, Tiny, launch

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], float)  # eq. 7


def on(maps: np.ndarray, mask: np.ndarray) -> float:
    """Mean of the maps on the mask, in units of their mean strength; NaN where the mask is empty."""
    return float((maps * mask).sum() / mask.sum() / np.abs(maps).mean()) if mask.any() else float("nan")


def around(maps: np.ndarray, mask: np.ndarray, reach: int) -> np.ndarray:
    """Mean neighbourhood [2 reach + 1, 2 reach + 1] of the mask's pixels, in units of the maps' mean strength."""
    padded = np.pad(maps, ((0, 0), (reach, reach), (reach, reach)))
    n, rows, columns = np.nonzero(mask)
    window = np.arange(2 * reach + 1)
    some = padded[n[:, None, None], rows[:, None, None] + window[:, None], columns[:, None, None] + window]
    return some.mean(0) / np.abs(maps).mean()


def compare(at: Experiment, name: str, game: str, tiny: bool) -> dict[str, Any]:
    """Of guided backpropagation of the chosen action, for every frame of the stack or of what is remembered."""
    from experiments.gradient_saliency.grid import features, maps, ring, seen_in, table3
    from rljax_viz.store import Episodes

    agent = agent_of(at, name, game, tiny=tiny)
    episodes = Episodes(recorded(at, name, game, 48 if tiny else 256, tiny) / "episodes.zarr")
    seen, channels = seen_in(episodes), int(agent.obs_shape[-1] // agent.preset.stack)
    obs, found = seen.obs, maps(agent, table3(agent), seen)
    mask, wide = features(obs, channels), obs.shape[1] > 32
    inner, outer = (0, 6) if wide else (0, 1)
    newest = found[table3(agent)[0]]
    same = np.asarray(episodes.episode[:])
    past = {}
    for cell, values in found.items():
        if not cell.past:
            continue
        whole = np.flatnonzero(same[cell.past :] == same[: -cell.past]) + cell.past  # the frame is of the same game
        then, now, values = mask[whole - cell.past], mask[whole], values[whole]
        past[f"t-{cell.past}"] = {"then": on(values, then & ~now), "now": on(values, now & ~then)}
    centre = around(newest, mask, 1 if not wide else 4)
    back = len(found) - 1
    whole = np.flatnonzero(same[back:] == same[: len(same) - back]) + back
    step = int(min(whole, key=lambda row: abs(row - len(obs) // 2), default=len(obs) // 2))
    labels = {f"frame t-{cell.past}" if cell.past else "frame t, the newest": values for cell, values in found.items()}
    title = f"{name} on {game}, step {step}: guided backpropagation"
    picture = write_grid(at.folder / f"{game}-{name}.png", obs[step][..., -channels:], labels, step, title)
    return {
        "feature": on(newest, mask), "ring": on(newest, ring(mask, inner, outer)), "past": past,
        "laplacian": float(np.corrcoef(_thirds(centre).ravel(), LAPLACIAN.ravel())[0, 1]), "around": centre.tolist(),
        "beside": float(_thirds(centre)[LAPLACIAN < 0].mean()),
        "pictures": {"past frames": picture},
    }  # fmt: skip


def _thirds(window: np.ndarray) -> np.ndarray:
    """A window of 9x9 as the means of its nine blocks; 3x3 stays."""
    return window if len(window) == 3 else window.reshape(3, 3, 3, 3).mean((1, 3))


def claims(found: dict[str, dict[str, Any]]) -> list[Claim]:
    stacked = {k: v for k, v in found.items() if v["past"]}
    rings = [both(above(v["feature"], 0), above(0, v["ring"])) for v in found.values()]
    laplacian = [both(above(v["laplacian"], 0.5), above(0, v["beside"])) for v in found.values()]
    told = "; ".join(f"{k}: {decimals(v['feature'])} on features, {decimals(v['ring'])} around" for k, v in found.items())
    # a game may be shorter than the window: where nothing was measured nothing is claimed
    then, now = ([one[key] for v in stacked.values() for one in v["past"].values()] for key in ("then", "now"))
    words = "; ".join(f"{k}: " + ", ".join(f"{t} {decimals(p['then'])} where it was, {decimals(p['now'])} where it is"
                      for t, p in v["past"].items()) for k, v in stacked.items())  # fmt: skip
    return [
        judge("4.3, Fig. 1", "positive gradients on features are surrounded by negative ones",
              most(rings), f"mean value by mean strength: {told}"),
        judge("4.3, eq. 7", "what surrounds a feature is like a Laplacian mask: positive within, negative on four sides",
              most(laplacian),
              "; ".join(f"{k}: correlation with L1 {v['laplacian']:.2f}, mean of the four sides {v['beside']:.2f}"
                        for k, v in found.items())),
        judge("Fig. 10-12", "on frame t-k the old position of what moves has positive gradients",
              most(above(x, 0) for x in then), words or "no agent with past frames"),
        judge("Fig. 10-12", "on frame t-k the present position of what moves is wrapped in negative gradients",
              most(above(0, x) for x in now), "as above" if words else "no agent with past frames"),
    ]  # fmt: skip


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    pairs = [(name, game) for name in available(at) for game in games_of(at, name)]
    found = {f"{name} on {game}": at.part(f"{game}-{name}", lambda n=name, g=game: compare(at, n, g, tiny))
             for name, game in pairs}  # fmt: skip
    rows = [(k, "t", v["feature"], v["ring"], v["laplacian"]) for k, v in found.items()]
    past = [(k, t, p["then"], p["now"]) for k, v in found.items() for t, p in v["past"].items()]
    tables = [
        Table("The newest frame", ("agent", "frame", "on features", "around them", "correlation with L1"), rows),
        Table("Past frames", ("agent", "frame", "where it was then", "where it is now"), past),
    ]
    note = "Values are means of guided backpropagation on a region, divided by its mean strength everywhere."
    pictures = [picture for v in found.values() for picture in v["pictures"].values()]
    at.report("Gradient saliency, Table 3: past frames and the negative ring", claims(found), tables, pictures, [note])
    write_index(at)


if __name__ == "__main__":
    launch(main, __file__)
