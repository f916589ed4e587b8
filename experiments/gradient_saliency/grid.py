"""Maps of one agent on one recording: methods, streams, layers and past frames, and where the moving features are."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.gradient_saliency.agents import CAMS, GRADIENTS, METHODS


class Cell(NamedTuple):
    """One entry of the paper's grid: a method of a score at a layer, on the frame `past` steps ago."""

    method: str
    score: str
    layer: str | None = None
    past: int = 0

    @property
    def label(self) -> str:
        at = f" {self.layer}" if self.layer else ""
        return f"{self.method} {self.score}{at}" + (f" t-{self.past}" if self.past else "")


def streams(agent: Any) -> tuple[str, ...]:
    """(what is chosen, then its parts): `q:chosen`, `value` and `advantage:chosen`, or `logit:chosen` and `value`."""
    import jax
    import jax.numpy as jnp

    out = jax.eval_shape(agent.f, agent.params, jnp.zeros(agent.obs_shape, jnp.uint8))
    parts = {"value": out.value, "advantage:chosen": out.advantage}
    chosen = "q:chosen" if out.q is not None else "logit:chosen"
    return (chosen, *(name for name, head in parts.items() if head is not None))


def convolutions(agent: Any) -> list[str]:
    """The tagged layers [h w c], first to last; of a window whose moments have tags of their own those of the newest."""
    found = [name for name, shape in agent.layers.items() if len(shape.shape) == 3]
    newest = {name.partition(".t")[0]: name for name in found}
    return list(newest.values())


def table1(agent: Any) -> list[Cell]:
    """The six methods for the chosen action; the Grad-CAM family on the first convolution."""
    score, first = streams(agent)[0], convolutions(agent)[0]
    return [Cell(method, score, first if method in CAMS else None) for method in METHODS]


def table2(agent: Any) -> list[Cell]:
    """Both gradients of every stream; the Grad-CAM family at every convolution, and of a critic at the first.

    Figures 8, 9, 13-16, 27, 28 (streams), 33-41 (layers) and 49-78 (actor and critic).
    """
    chosen, *_ = heads = streams(agent)
    layers = convolutions(agent)
    some = [Cell(method, stream) for method in GRADIENTS for stream in heads]
    some += [Cell(method, chosen, layer) for layer in layers for method in CAMS]
    critic = chosen.startswith("logit") and "value" in heads
    return [*some, *(Cell(method, "value", layers[0]) for method in CAMS if critic)]


def frames_back(agent: Any) -> int:
    """How many frames before the newest have maps: those of its stack; the paper's nine of an agent that remembers."""
    return 9 if agent.remembers else agent.preset.stack - 1


def table3(agent: Any) -> list[Cell]:
    """Guided backpropagation on the frames before the newest; none for an agent that sees one and remembers nothing."""
    chosen = streams(agent)[0]
    return [Cell("guided_backprop", chosen, None, past) for past in range(frames_back(agent) + 1)]


def chosen_advantage(out: Any) -> Any:
    """The advantage of the action that was taken: a score."""
    return out.advantage[out.action]


class Seen(NamedTuple):
    """Steps in a row as they were recorded: obs[N H W C], action[N], begins[N]: where games begin."""

    obs: np.ndarray
    action: np.ndarray
    begins: np.ndarray


def seen_in(episodes: Any, steps: int | None = None) -> Seen:
    """The first `steps` rows of a recording; all of them by default."""
    begins = np.diff(episodes.episode[:steps], prepend=-1) != 0
    return Seen(np.asarray(episodes.observations[:steps]), np.asarray(episodes.action[:steps]), begins)


def maps(agent: Any, cells: Sequence[Cell], seen: Seen) -> dict[Cell, np.ndarray]:
    """Raw maps [N h w] of every cell: of the frame in question, or at the layer's own resolution.

    An agent that remembers is shown all steps in order: its maps are by what it remembers of them, whoever played, and those
    of past frames by windows within the game (zero where it had not begun). All others are one program, which shares what
    they have in common.
    """
    from rljax_viz.explain import METHODS as FACTORIES
    from rljax_viz.explain import explain_many, past_frames, record, scores
    from rljax_viz.runs.past import remembered, windowed
    from rljax_viz.sweeps import map_frames

    obs, found, channels = seen.obs, {}, seen.obs.shape[-1] // agent.preset.stack
    together: dict[str, Any] = {}
    memory, _ = remembered(agent, obs, seen.begins)
    whole: dict[Cell, np.ndarray] = {}  # windows of all past frames, by the cell of the newest
    for cell in dict.fromkeys(cells):
        options = {"layer": cell.layer} if cell.layer else {}
        score = chosen_advantage if cell.score == "advantage:chosen" else scores.parse(cell.score)
        if cell.past and agent.remembers:
            newest = cell._replace(past=0)
            if newest not in whole:
                explain = past_frames(FACTORIES[cell.method], agent.f, score, **options)
                frames, rest = windowed(obs, seen.action, memory, np.flatnonzero(seen.begins), frames_back(agent))
                whole[newest] = np.asarray(map_frames(explain, agent.params, frames, None, rest=rest))
            of = whole[newest][:, -1 - cell.past]
            found[cell] = of if of.ndim == 3 else of.sum(-1)
            continue
        explain = FACTORIES[cell.method].factory(record(agent.f), score, **options)
        last = obs.shape[-1] - cell.past * channels

        def one(*given: Any, explain: Any = explain, last: int = last) -> Any:
            map = explain(*given)
            return map if map.ndim == 2 else map[..., last - channels : last].sum(-1)

        together[cell.label] = one
    if together:
        rest = (seen.action,) if memory is None else (seen.action, memory)
        several = map_frames(explain_many(together), agent.params, obs, None, rest=rest)
        found |= {cell: np.asarray(several[cell.label]) for cell in cells if cell.label in together}
    return {cell: found[cell] for cell in cells}


def upscaled(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Maps [N h w] at the resolution of the frame."""
    from rljax_viz.explain import upsample

    return maps if maps.shape[1:] == size else np.asarray(upsample(np.moveaxis(maps, 0, -1), size)).transpose(2, 0, 1)


def features(obs: np.ndarray, channels: int) -> np.ndarray:
    """bool [N H W]: where something that moves is now.

    Grey stacks: pixels of the newest frame that differ from the recording's median picture and from the frame before.
    MinAtar's Breakout (4 planes): ball and paddle. Of single grey frames the frame before is that of the step before.
    """
    if channels > 1:
        return (obs[..., -channels:][..., :2] > 0).any(-1)
    newest = obs[..., -1].astype(int)
    before = obs[..., -2].astype(int) if obs.shape[-1] > 1 else np.concatenate([newest[:1], newest[:-1]])
    still = np.median(newest, axis=0)
    return (np.abs(newest - still) > 10) & (np.abs(newest - before) > 10)


def ring(mask: np.ndarray, inner: int, outer: int) -> np.ndarray:
    """bool [N H W]: within `outer` pixels of the mask, and farther than `inner`."""
    from scipy.ndimage import binary_dilation

    box = lambda n: np.ones((1, 2 * n + 1, 2 * n + 1), bool)  # noqa: E731
    far = binary_dilation(mask, box(outer))
    return far & ~(binary_dilation(mask, box(inner)) if inner else mask)


def nss(maps: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Normalised scanpath saliency of |maps|[N H W] on mask[N H W], [N]; NaN where it is undefined. 0 is chance."""
    import jax

    from rljax_viz.measure import nss as one

    return np.asarray(jax.jit(jax.vmap(one))(np.abs(maps).astype(np.float32), mask.astype(np.float32)))


def mean(values: np.ndarray) -> float:
    """Of those that are known; NaN where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def stable(values: np.ndarray, least: float = 1.0) -> float:
    """The paper's "stable": the share of frames on which the features stand out by `least` standard deviations."""
    known = values[~np.isnan(values)]
    return float((known > least).mean()) if len(known) else float("nan")
