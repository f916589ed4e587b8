"""Do methods agree? The maps of some methods on the same recorded frames, correlated in pairs."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..explain import METHODS, upsample
from ..measure.correlation import pearson, spearman
from ..store import Episodes
from ..sweeps import map_frames
from .agent import Agent
from .explain import open_recording
from .mapping import data_for, make_explain, methods_of, scores_for
from .past import BUILT_IN, seen


class Agreement(NamedTuple):
    """Of two methods: means over the frames where each correlation is defined; `undefined` counts the other frames."""

    left: str
    right: str
    frames: int
    pearson: float
    spearman: float
    undefined: int


def compare_run(
    agent: Agent,
    run: Path,
    methods: Sequence[str] = (),
    score: str = "value",
    *,
    layer: str | None = None,
    frames: int = 64,
    seed: int = 0,
    any_checkpoint: bool = False,
    watch: Callable[[str, int, int], None] = lambda what, done, all: None,
) -> list[Agreement]:
    """Correlates the maps of `methods` over at most `frames` rows of the run's recording, evenly spread.

    Without `methods`: the attention that is built into the network against every method that explains it; else every
    one against every other. Maps are taken without their sign (attention has none) and brought to the size of the
    observation. Written to `run/compare.json` too, with what was compared.
    Raises ValueError for fewer than two methods or than one frame, an agent that does not attend where no methods are named,
    and a recording of another game or view, or (but for `any_checkpoint`) of another agent.
    """
    if frames < 1:
        raise ValueError(f"frames is 1 or more, got {frames}")
    against_attention = not methods
    if against_attention:
        if BUILT_IN not in (have := methods_of(agent)):
            some = ",".join(have[:3])
            raise ValueError(f"{agent.network} has no attention of its own: name methods to compare, --methods {some}")
        methods = [BUILT_IN, *METHODS]
    if len(methods) < 2 or len(set(methods)) < len(methods):
        raise ValueError(f"different methods are compared, two or more: got {list(methods)}")
    episodes = open_recording(agent, run, any_checkpoint)
    rows = np.unique(np.linspace(0, len(episodes) - 1, min(frames, len(episodes))).astype(int))
    maps: dict[str, np.ndarray] = {}
    for at, method in enumerate(methods):
        watch("methods", at, len(methods))
        maps[method] = _maps(agent, episodes, rows, method, score, layer, seed)
    watch("methods", len(methods), len(methods))
    names = list(maps)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if not against_attention or a == BUILT_IN]
    found = [_agreement(a, b, maps[a], maps[b]) for a, b in pairs]
    what = {"agent": agent.name, "checkpoint": agent.checkpoint, "score": score, "layer": layer, "rows": rows.tolist()}
    plain = [{k: None if v != v else v for k, v in one._asdict().items()} for one in found]  # JSON knows no NaN
    (run / "compare.json").write_text(json.dumps({**what, "pairs": plain}, indent=1) + "\n")
    return found


def _maps(agent: Agent, episodes: Episodes, rows: np.ndarray, method: str, score: str, layer: str | None, seed: int):
    """[n H W] without signs."""
    entry = METHODS.get(method)
    (what, *_) = scores_for(agent, method, [score])
    takes = layer if entry is not None and entry.needs_layer else None
    explain = make_explain(agent, method, what, takes, seed=seed, **data_for(agent, method, episodes))
    obs, rest = seen(agent, episodes)
    rest = jax.tree.map(lambda column: column[rows], rest)
    found = map_frames(explain, agent.params, obs[rows], None, rest=rest)
    size = (agent.obs_shape[0], agent.obs_shape[1])
    return np.asarray(jax.jit(jax.vmap(lambda map: upsample(jnp.abs(map), size)))(jnp.asarray(found)))


@jax.jit
def _correlations(left: jax.Array, right: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.lax.map(lambda pair: (pearson(*pair), spearman(*pair)), (left, right))


def _agreement(a: str, b: str, left: Any, right: Any) -> Agreement:
    straight, ranked = (np.asarray(v, np.float64) for v in _correlations(left, right))
    undefined = np.isnan(straight) | np.isnan(ranked)
    mean = lambda v: float(v[~undefined].mean()) if not undefined.all() else float("nan")  # noqa: E731
    return Agreement(a, b, len(straight), mean(straight), mean(ranked), int(undefined.sum()))
