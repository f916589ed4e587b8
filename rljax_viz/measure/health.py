"""Can this network learn at all? What gradients, units, streams and stacks say before the reward does.

Where the network looks is measured in `focus.py`.

Rosynski et al. 2020, arXiv:2012.01281, sections 1 and 6, name the faults: layers that are not linked, a value stream that is
merged wrongly, frames that are stacked wrongly. Each check gives findings; f(params, obs, *rest) -> an Output for ONE
observation; `rest` (what an agent remembered before it) comes as trees of arrays with a row for each obs.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.transforms import activations, tags

Verdict = Literal["ok", "look", "fault"]
FAINT = 1e-6  # a gradient or an activation in parts of its neighbours' that hardly does anything in float32


class Finding(NamedTuple):
    """`check` of `where` (a layer, a stream, a frame of the stack): a `number`, a verdict, and what it means."""

    check: str
    where: str
    number: float
    verdict: Verdict
    says: str


def _heads(out: Any) -> dict[str, jax.Array]:
    """What an output answers with: one vector a head, by name."""
    fields = out._asdict()
    names = ("q", "value", "advantage", "logits", "weights", "attention", "reconstruction", "log_variance")
    return {name: jnp.ravel(fields[name]) for name in names if fields.get(name) is not None}


def _module(path: tuple) -> str:
    """The layer of a parameter, from its path in the tree."""
    names = [str(getattr(part, "key", getattr(part, "name", part))) for part in path]
    return "/".join(names[1:-1] if names[0] == "params" else names[:-1]) or names[-1]


def reached(f: Callable, params: Any, obs: Any, *rest: Any) -> list[Finding]:
    """Does the gradient of each stream reach each layer that the stream depends on? obs[N H W C].

    A stream is a head of the output: value, advantage, q, logits, ... The number is the root mean square, over all N, of
    the gradient by a layer's parameters of the stream, weighted at random so that nothing cancels. "gradient of value" has a
    row for each layer that value depends on: one that changes the stream when its parameters change by a hundredth, but has
    no gradient, is a fault, for the gradient is stopped in between. "gradient" is that of all streams: a layer without any is
    a fault. Gradients under FAINT of the stream's largest ask for a look.
    """
    rows = (jnp.asarray(obs, jnp.float32), *rest)
    sizes, before = _sizes(f, params, rows), _answers(f, params, rows)
    layers = list(dict.fromkeys(_module(path) for path, _ in _leaves(_trained(params))))
    stopped = {layer: _stopped(f, params, rows, layer, sizes, before) for layer in layers}
    found = []
    for layer in layers:
        whole = sum(size[layer] ** 2 for size in sizes.values()) ** 0.5
        says = "reaches it" if whole else "no answer depends on it: it is not linked, or all above it is dead"
        if not whole and stopped[layer]:
            says = "answers depend on it, but no gradient comes back: it is stopped"
        found.append(Finding("gradient", layer, whole, "ok" if whole else "fault", says))
    for stream, size in sizes.items():
        largest = max(size.values(), default=0.0)
        for layer in (layer for layer in layers if size[layer] or stream in stopped[layer]):
            found.append(_judged(stream, layer, size[layer], largest))
    return found


def _sizes(f: Callable, params: Any, rows: tuple) -> dict[str, dict[str, float]]:
    """stream -> layer -> the size of its gradient: of its kernel or its bias, whichever is larger."""
    sizes: dict[str, dict[str, float]] = {}
    for stream, tree in jax.device_get(_gradients(f, params, rows)).items():
        sizes[stream] = {}
        for path, square in _leaves(tree):
            sizes[stream][_module(path)] = max(sizes[stream].get(_module(path), 0.0), float(square) ** 0.5)
    return sizes


def _stopped(f: Callable, params: Any, rows: tuple, layer: str, sizes: dict, before: dict) -> set[str]:
    """The streams that change with the layer's parameters but have no gradient, neither here nor beside."""
    silent = {stream for stream, size in sizes.items() if not size[layer]}
    if not silent:
        return set()
    beside = _shaken(params, layer)
    changed = _changed(before, _answers(f, beside, rows))
    silent = {stream for stream in silent if changed[stream]}
    if not silent:
        return set()
    there = _sizes(f, beside, rows)  # a ReLU at exactly 0 is no stop: it has a gradient there
    return {stream for stream in silent if not there[stream][layer]}


def _judged(stream: str, layer: str, size: float, largest: float) -> Finding:
    check = f"gradient of {stream}"
    if not size:
        says = f"{stream} depends on it, but teaches it nothing: its gradient is stopped in between"
        return Finding(check, layer, size, "fault", says)
    if size < FAINT * largest:
        says = f"hardly reaches it: {size / largest:.1g} of what it is elsewhere, so something scales it away"
        return Finding(check, layer, size, "look", says)
    return Finding(check, layer, size, "ok", "reaches it")


def _leaves(trained: Any) -> list[tuple[tuple, Any]]:
    return jax.tree_util.tree_leaves_with_path({"params": trained})


def _trained(params: Any) -> Any:
    """The part of `params` that is learned: flax keeps constants beside it."""
    return params["params"] if isinstance(params, dict) and "params" in params else params


def _with(params: Any, trained: Any) -> Any:
    return {**params, "params": trained} if _trained(params) is not params else trained


@functools.partial(jax.jit, static_argnums=0)
def _gradients(f: Callable, params: Any, rows: tuple) -> dict[str, Any]:
    """Of each head: mean square of its gradient, a number for each leaf of the trained parameters."""
    trained = _trained(params)

    def add(total: Any, one: tuple) -> tuple[Any, None]:
        heads, pull = jax.vjp(lambda weights: _heads(f(_with(params, weights), *one)), trained)
        for at, name in enumerate(heads):
            drawn = jax.random.normal(jax.random.key(at), heads[name].shape).astype(heads[name].dtype)
            (grads,) = pull({**jax.tree.map(jnp.zeros_like, heads), name: drawn})
            total = {**total, name: jax.tree.map(lambda t, g: t + (g**2).mean(), total[name], grads)}
        return total, None

    names = jax.eval_shape(lambda one: _heads(f(params, *one)), jax.tree.map(lambda x: x[0], rows))
    zero = {name: jax.tree.map(lambda _: jnp.zeros(()), trained) for name in names}
    total, _ = jax.lax.scan(add, zero, rows)
    return jax.tree.map(lambda t: t / len(rows[0]), total)


@functools.partial(jax.jit, static_argnums=0)
def _answers(f: Callable, params: Any, rows: tuple) -> dict[str, jax.Array]:
    """Every head [N n]."""
    return jax.lax.map(lambda one: _heads(f(params, *one)), rows)


def _changed(before: dict[str, jax.Array], after: dict[str, jax.Array]) -> dict[str, bool]:
    return {name: bool((before[name] != after[name]).any()) for name in before}


def _shaken(params: Any, layer: str) -> Any:
    """`params` with those of one layer moved at random by a hundredth of their size."""
    trained = _trained(params)
    own = [np.asarray(leaf, np.float64) for path, leaf in _leaves(trained) if _module(path) == layer]
    size = (sum((leaf**2).sum() for leaf in own) / sum(leaf.size for leaf in own)) ** 0.5 or 1.0
    rng = np.random.default_rng(0)

    def moved(path: tuple, leaf: Any) -> Any:
        if _module(path) != layer:
            return leaf
        return leaf + jnp.asarray(0.01 * size * rng.normal(size=leaf.shape), leaf.dtype)

    return _with(params, jax.tree_util.tree_map_with_path(moved, {"params": trained})["params"])


def dead_units(f: Callable, params: Any, obs: Any, *rest: Any) -> list[Finding]:
    """The part of each tagged layer's units (channels of a convolution) that are 0 at every place of every obs[N H W C].

    More than half asks for a look; all of them is a fault. Layers that are never exactly 0 have none.
    """
    found = []
    for layer, (largest, _) in _fired(f, params, (jnp.asarray(obs), *rest)).items():
        dead = np.asarray(largest).max(0) == 0
        part, counted = float(dead.mean()), f"{int(dead.sum())} of {dead.size} units never fire"
        if part == 1:
            found.append(Finding("dead units", layer, part, "fault", f"{counted}: nothing passes through"))
        elif part > 0.5:
            says = f"{counted}: often a learning rate that is too high, or inputs out of range"
            found.append(Finding("dead units", layer, part, "look", says))
        else:
            found.append(Finding("dead units", layer, part, "ok", counted))
    return found


def faint_layers(f: Callable, params: Any, obs: Any, *rest: Any) -> list[Finding]:
    """Tagged layers whose activations over obs[N H W C] are under FAINT of those of the layer before or after; else nothing.

    The number is their root mean square. Layers that are 0 everywhere are `dead_units`.
    """
    fired = _fired(f, params, (jnp.asarray(obs), *rest))
    sizes = {name: float(np.asarray(square).mean()) ** 0.5 for name, (_, square) in fired.items()}
    first = jax.tree.map(lambda x: jnp.asarray(x)[0], (obs, *rest))
    names, found = [name for name in tags(f)(params, *first) if name in sizes], []
    for at, name in enumerate(names):
        for beside in names[max(at - 1, 0) : at + 2]:
            if 0 < sizes[name] < FAINT * sizes[beside]:
                says = f"{sizes[name] / sizes[beside]:.1g} of {beside}'s: next to nothing passes through"
                found.append(Finding("activations", name, sizes[name], "look", says))
                break
    return found


@functools.partial(jax.jit, static_argnums=0)
def _fired(f: Callable, params: Any, rows: tuple) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Of each tagged layer the largest size of each unit [N K], and the mean square [N]."""

    def one(row: tuple) -> Any:
        hidden = activations(f)(params, *row)[1]
        flat = {name: jnp.abs(h.astype(jnp.float32)).reshape(-1, h.shape[-1]) for name, h in hidden.items() if h.ndim}
        return {name: (h.max(0), (h**2).mean()) for name, h in flat.items()}

    return jax.lax.map(one, rows)


def merged_streams(f: Callable, params: Any, obs: Any, *rest: Any) -> list[Finding]:
    """Is q = value + advantage, with the advantage's mean over actions taken off? Nothing for networks without streams.

    Wang et al. 2016, eq. 9. The numbers are the largest deviations over obs[N H W C], in parts of the largest |q|.
    """
    out = _outputs(f, params, (jnp.asarray(obs), *rest))
    if out.q is None or out.value is None or out.advantage is None:
        return []
    q, value, advantage = (np.asarray(x) for x in (out.q, out.value, out.advantage))
    unit = max(float(np.abs(q).max()), float(np.abs(value).max()), 1e-12)
    apart = float(np.abs(q - value[:, None] - advantage).max()) / unit
    mean = float(np.abs(advantage.mean(1)).max()) / unit
    return [
        Finding("streams", "q - value - advantage", apart, "ok" if apart < 1e-4 else "fault",
                "q is their sum" if apart < 1e-4 else "q is not value + advantage: a stream is not merged, or merged twice"),
        Finding("streams", "mean of advantage", mean, "ok" if mean < 1e-4 else "fault",
                "taken off" if mean < 1e-4 else "not taken off: the mean runs over another axis, or nowhere"),
    ]  # fmt: skip


@functools.partial(jax.jit, static_argnums=0)
def _outputs(f: Callable, params: Any, rows: tuple) -> Any:
    return jax.lax.map(lambda one: f(params, *one), rows)


def stacking(obs: np.ndarray, channels: int, begins: np.ndarray | None = None) -> list[Finding]:
    """Do stacks move on by one frame a step? obs[T H W C] of T steps in a row, `channels` of one frame, the newest last.

    begins[T] says where a game begins (its stack is refilled). Numbers are parts of the steps; half a percent may be other.
    """
    stack = obs.shape[-1] // channels
    if stack < 2:
        return []
    goes_on = np.ones(len(obs) - 1, bool) if begins is None else ~np.asarray(begins)[1:]
    older = (obs[1:, ..., :-channels] == obs[:-1, ..., channels:]).reshape(len(obs) - 1, -1).all(1)[goes_on]
    frames = obs.reshape(*obs.shape[:-1], stack, channels)
    alike = (frames[..., 1:, :] == frames[..., :1, :]).reshape(len(obs), -1).all(1)
    moving = (frames[1:, ..., -1, :] != frames[:-1, ..., -1, :]).reshape(len(obs) - 1, -1).any(1)
    broken = 1.0 - float(older.mean()) if len(older) else 0.0
    same = float((alike[1:] & moving)[goes_on].mean()) if goes_on.any() else 0.0
    return [
        Finding("stack", "moves on", broken, "ok" if broken <= 0.005 else "fault",
                "each step drops the oldest frame" if broken <= 0.005 else "older frames are not those of the step before: "
                "order, axis or game of the stack is wrong"),
        Finding("stack", "frames differ", same, "ok" if same <= 0.02 else "fault",
                "time passes in it" if same <= 0.02 else "all frames of a stack are the same while the game moves"),
    ]  # fmt: skip


def frames_used(f: Callable, score: Callable, params: Any, obs: Any, channels: int, *rest: Any) -> list[Finding]:
    """How much each frame of the stack matters: its share of |d score / d obs| over obs[N H W C], the newest last.

    A frame without any share is a fault if no answer changes with it either; if one does, its gradient is stopped, which asks
    for a look here and is judged by `reached`. So does one under a tenth of its equal share.
    """
    rows = (jnp.asarray(obs, jnp.float32), *rest)
    each = np.asarray(_slopes(f, score, params, rows)).sum(0).reshape(-1, channels).sum(1)
    share = each / max(each.sum(), 1e-30)
    noise = np.random.default_rng(0).integers(0, 256, rows[0].shape).astype(np.float32)
    before = _answers(f, params, rows) if not share.all() else {}
    found = []
    for k, part in enumerate(share):
        verdict: Verdict = "look" if part < 0.1 / len(share) else "ok"
        says = "is looked at" if verdict == "ok" else "hardly matters"
        if part == 0:
            its = np.arange(rows[0].shape[-1]) // channels == k
            gets_in = any(_changed(before, _answers(f, params, (jnp.where(its, noise, rows[0]), *rest))).values())
            verdict = "look" if gets_in else "fault"
            says = "gets in, but this gradient does not come back" if gets_in else "changes nothing: it does not get in"
        where = "newest frame" if k == len(share) - 1 else f"frame t-{len(share) - 1 - k}"
        found.append(Finding("frames", where, float(part), verdict, says))
    return found


@functools.partial(jax.jit, static_argnums=(0, 1))
def _slopes(f: Callable, score: Callable, params: Any, rows: tuple) -> jax.Array:
    """[N C]: the sum of the slope's sizes over each channel."""
    slope = jax.grad(lambda one, *more: score(f(params, one, *more)))
    return jax.lax.map(lambda one: jnp.abs(slope(*one)).sum((0, 1)), rows)


def memory_used(f: Callable, params: Any, obs: Any, memory: Any) -> list[Finding]:
    """Does any answer depend on what was remembered? Each memory[N ...] against an empty one, at the same obs[N H W C].

    The number is the largest change of a head in parts of its largest size. No change at all is a fault.
    """

    def change(one: tuple) -> jax.Array:
        frame, before = one
        full, empty = (_heads(f(params, frame, m)) for m in (before, jax.tree.map(jnp.zeros_like, before)))
        parts = [jnp.abs(full[k] - empty[k]).max() / jnp.maximum(jnp.abs(full[k]).max(), 1e-12) for k in full]
        return jnp.stack(parts).max()

    number = float(jax.jit(lambda *rows: jax.lax.map(change, rows))(jnp.asarray(obs), memory).max())
    says = "answers depend on it" if number > 0 else "changes nothing: it is not handed on, or always empty"
    return [Finding("memory", "against an empty one", number, "ok" if number > 0 else "fault", says)]
