"""Section 3 and 4.1: gradients normalised over each frame, or over the whole video."""

import numpy as np

from experiments.claims import Table, above, judge, most
from experiments.gradient_saliency.agents import agent_of, available, games_of, recorded
from experiments.gradient_saliency.entrance import write_index
from experiments.scale import Experiment, Tiny, launch


def shown(maps: np.ndarray, axis: tuple[int, ...] | None = None) -> np.ndarray:
    """As the authors' code shows gradients: mean 0, deviation 0.1, held to -1..1; over everything, or over `axis`.

    maps[N h w] -> the same. FACTS R5: x -= mean; x /= std + 1e-5; x *= 0.1; clip.
    """
    x = maps - maps.mean(axis, keepdims=True)
    # their gradients are per unit of a frame in 0..1: so that 1e-5 stays as small as it was, ours are scaled first
    largest = np.abs(maps).max()
    x = x / (x.std(axis, keepdims=True) + 1e-5 * largest)
    return np.clip(0.1 * x, -1, 1)


def over_video(maps: np.ndarray) -> np.ndarray:
    return shown(maps)


def over_frames(maps: np.ndarray) -> np.ndarray:
    return shown(maps, (1, 2))


def flashing(maps: np.ndarray) -> float:
    """Mean change of a shown pixel from one frame to the next, as a share of its mean strength."""
    return float(np.abs(np.diff(maps, axis=0)).mean() / np.abs(maps).mean())


def strengths(maps: np.ndarray) -> np.ndarray:
    """Mean strength of each frame, [N]."""
    return np.abs(maps).mean((1, 2))


def compare(at: Experiment, name: str, game: str, tiny: bool) -> dict[str, float]:
    """Of guided backpropagation of the chosen action."""
    from experiments.gradient_saliency.grid import Cell, maps, seen_in, streams
    from rljax_viz.store import Episodes

    agent = agent_of(at, name, game, tiny=tiny)
    episodes = Episodes(recorded(at, name, game, 48 if tiny else 256, tiny) / "episodes.zarr")
    cell = Cell("guided_backprop", streams(agent)[0])
    found = maps(agent, [cell], seen_in(episodes))[cell]
    frame, video, raw = over_frames(found), over_video(found), strengths(found)
    spread = lambda x: float(x.std() / x.mean())  # noqa: E731
    return {
        "flashing per frame": flashing(frame), "flashing per video": flashing(video),
        "spread of strength per frame": spread(strengths(frame)), "spread of strength per video": spread(strengths(video)),
        "order of frames kept": float(np.corrcoef(strengths(video), raw)[0, 1]),
    }  # fmt: skip


def main(at: Experiment, *, tiny: Tiny = False) -> None:
    pairs = [(name, game) for name in available(at) for game in games_of(at, name)]
    found = {f"{name} on {game}": at.part(f"{game}-{name}", lambda n=name, g=game: compare(at, n, g, tiny))
             for name, game in pairs}  # fmt: skip
    smoother = [above(v["flashing per frame"], v["flashing per video"]) for v in found.values()]
    told = "; ".join(f"{k}: {v['flashing per frame']:.3f} per frame, {v['flashing per video']:.3f} per video"
                     for k, v in found.items())  # fmt: skip
    kept = [above(v["spread of strength per video"], 2 * v["spread of strength per frame"]) for v in found.values()]
    spread = "; ".join(
        f"{k}: {v['spread of strength per video']:.2f} per video (correlation with the raw strength "
        f"{v['order of frames kept']:.2f}), {v['spread of strength per frame']:.2f} per frame" for k, v in found.items()
    )  # fmt: skip
    claims = [
        judge("4.1", "normalised over each frame, gradients flash more strongly; over the video they are smoother",
              most(smoother), f"mean change of a pixel by its strength: {told}"),
        judge("4.1", "over the video, states of weak gradients can be told; over each frame they cannot",
              most(kept), f"spread of the frames' strength, deviation by mean: {spread}"),
    ]  # fmt: skip
    rows = [(k, *v.values()) for k, v in found.items()]
    table = Table("Guided backpropagation, as the authors' code shows it", ("agent", *next(iter(found.values()))), rows)
    at.report("Gradient saliency: normalisation over frames and over the video", claims, [table])
    write_index(at)


if __name__ == "__main__":
    launch(main, __file__)
