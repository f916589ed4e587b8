"""Methods and scores by name, for one agent: what one map is, its shape and its units."""

import difflib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..explain import METHODS, Method, attention_map, last_frame, past_frames, per_frame, record, rise_masks, scores
from ..networks import ATTENTION
from ..store import Episodes
from .agent import Agent
from .past import BUILT_IN, check_past, of_each_frame, seen

VECTORS = ("logits", "q")
COMPARES = ("sarfa", "counterfactual")  # methods whose answer is about all actions at once
BASELINES, MASKS = 64, 256  # frames of the recording for expected gradients, random masks for RISE


def make_explain(
    agent: Agent, method: str, score: str, layer: str | None = None, *, past: int = 0, seed: int = 0, **options: Any
) -> Callable:
    """`explain(params, obs, action) -> map`: [H W] of the newest frame, or [h w] of the layer or the grid of a method.

    Behind the action comes the memory of an agent that remembers. What a random method draws is drawn from `seed`, once for
    all frames: their maps differ by the frames alone, and SmoothGrad is twice as fast.
    `agent.f` with the recorded action; sums over the newest frame's channels, and over those of a layer's map. What a method
    needs besides (`METHODS[method].needs`) comes in `options`.
    With `past` a map [past+1 H W] of the frames t-past ... t, the newest LAST: of an agent that remembers by
    `explain.past_frames`, explain(params, window, action, memory, missing), as `seen` gives them; else of each of the newest
    frames of the stack, `explain.per_frame`.
    Raises ValueError for names that do not exist, with the nearest, a layer that the method does not take, or past frames
    that the agent does not see or the method does not tell apart.
    """
    if method == BUILT_IN:
        check_past(agent, method, past)
        return _attention(agent, layer)
    if method not in METHODS:
        near = difflib.get_close_matches(method, (*METHODS, BUILT_IN), 1)
        meant = f", did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"no method {method!r}{meant} There are {', '.join((*METHODS, BUILT_IN))}")
    check_past(agent, method, past)
    entry = METHODS[method]
    options = {**entry.options, **options}
    if entry.needs_layer:
        if not agent.layers:
            fix = "name one in its function, h = rljax_viz.transforms.tag(h, 'conv1')"
            raise ValueError(f"{method} looks at a layer, and {agent.network} has no tags: {fix}")
        layer = str(layer or agent.first_layer)
        if layer not in agent.layers:
            near = difflib.get_close_matches(layer, agent.layers, 1)
            meant = f", did you mean {near[0]!r}?" if near else ";"
            raise ValueError(f"{agent.network} has no layer {layer!r}{meant} it has {', '.join(agent.layers)}")
        options = {"layer": layer, **options}
    elif layer is not None:
        raise ValueError(f"{method} takes no layer; those that do: {[m for m, e in METHODS.items() if e.needs_layer]}")
    if method in COMPARES and score not in VECTORS:
        raise ValueError(f"{method} compares all actions, not one score: choose {' or '.join(VECTORS)}, not {score!r}")
    what = scores.vector(score) if entry.vector and score in VECTORS else scores.parse(score)
    channels = agent.obs_shape[-1] // agent.preset.stack
    if past and agent.remembers:
        window = _drawn(entry, past_frames(entry, agent.f, what, **options), seed)
        return lambda *args: _flat(window(*args), 3)
    explain = _drawn(entry, entry.factory(record(agent.f), what, **options), seed)

    def one(*args: Any) -> Any:
        map = explain(*args)
        if past:
            return per_frame(map, channels)[-past - 1 :]
        return last_frame(map, channels) if entry.resolution == "obs" and map.ndim == 3 else _flat(map, 2)

    return one


def _drawn(entry: Method, explain: Callable, seed: int) -> Callable:
    """`explain` with its key, if it needs one."""
    return functools.partial(explain, jax.random.key(seed)) if entry.random else explain


def _flat(map: jax.Array, ndim: int) -> jax.Array:
    """`map` without channels, if it has any: summed up."""
    return map.sum(-1) if map.ndim > ndim else map


def _attention(agent: Agent, layer: str | None) -> Callable:
    """What the network itself attends to, drawn on the frame; no score is asked for."""
    if agent.network not in ATTENTION or layer is not None:
        have = ", ".join(ATTENTION)
        raise ValueError(f"{agent.network} has no attention of its own (they are {have}), and it takes no layer")
    height, width, _ = agent.obs_shape
    explain = attention_map(agent.f, **ATTENTION[agent.network], size=(height, width))
    return lambda params, obs, action, *rest: explain(params, obs, *rest)


def methods_of(agent: Agent, past: int = 0) -> list[str]:
    """Every method that this agent can be explained by, with maps of `past` frames before the newest."""
    if past:
        return [name for name, entry in METHODS.items() if agent.remembers or of_each_frame(entry)]
    return [*METHODS, *([BUILT_IN] if agent.network in ATTENTION else [])]


def scores_for(agent: Agent, method: str, score_names: Sequence[str]) -> Sequence[str]:
    """What a method can explain of `score_names`: one score, or all actions, which are taken if none of them is."""
    if method == BUILT_IN:
        return ["attention"]
    if method not in METHODS or not METHODS[method].vector:
        return [name for name in score_names if name not in VECTORS] or score_names
    if method not in COMPARES:
        return score_names
    out = jax.eval_shape(agent.f, agent.params, jnp.zeros(agent.obs_shape, jnp.uint8))
    have = [name for name in VECTORS if getattr(out, name) is not None]
    return [name for name in score_names if name in have] or have[:1]


def data_for(agent: Agent, method: str, episodes: Episodes, past: int = 0) -> dict[str, Any]:
    """What `METHODS[method].needs`, of the recording: the same for every frame and every call."""
    data: dict[str, Any] = {}
    needs = METHODS[method].needs if method in METHODS else ()
    if "baselines" in needs:
        rows = np.unique(np.linspace(0, len(episodes) - 1, BASELINES).astype(int))
        data["baselines"] = jnp.asarray(seen(agent, episodes, past)[0][rows])
    if "masks" in needs:
        height, width = agent.obs_shape[:2]
        data["masks"] = rise_masks(jax.random.key(0), MASKS, 7, 0.5, (height, width))
    return data


def explain_shape(agent: Agent, explain: Callable, past: int = 0) -> tuple[int, ...]:
    """The shape of one map; runs nothing."""
    shape = (past + 1, *agent.obs_shape) if past and agent.remembers else agent.obs_shape
    number = jnp.zeros((), jnp.int32)
    args = (agent.params, jnp.zeros(shape, jnp.uint8), number)
    if agent.remembers:
        args += (agent.memory, number) if past else (agent.memory,)
    return jax.eval_shape(explain, *args).shape


def units(method: str, score: str) -> str:
    """The units of a method's maps, in words."""
    of = {"value": "return", "q": "return", "advantage": "return", "entropy": "nat", "log_prob": "nat"}.get(
        score.partition(":")[0], "logit"
    )
    per_obs = ("gradient", "guided_backprop", "deconvnet", "smooth_grad")
    if method in COMPARES:
        return "fraction (0..1)"
    if method == BUILT_IN:
        return "attention"
    if method == "score_cam":
        return "activation"
    if method == "perturbation":
        return f"({of})^2"
    if method in per_obs:
        return f"{of} per unit of obs (0..255)"
    if method in ("guided_grad_cam", "g2_grad_cam"):
        return f"({of})^2 per unit of obs (0..255)"
    return of
