"""Can this network learn at all? What gradients, units, streams and stacks say before the reward does.

Rosynski et al. 2020, arXiv:2012.01281, sections 1 and 6, name the faults: layers that are not linked, a value stream that is
merged wrongly, frames that are stacked wrongly. Each check gives findings; f(params, obs, *rest) -> an Output for ONE
observation; `rest` (what an agent remembered before it) comes as trees of arrays with a row for each obs.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.transforms import activations, guided, relu_count

Verdict = Literal["ok", "look", "fault"]


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
    """Does any answer depend on each layer's parameters? obs[N H W C]; a layer without a gradient in all N is a fault.

    The number is the root mean square of the gradient of all heads, each weighted at random so that nothing cancels.
    """
    trained = params["params"] if isinstance(params, dict) and "params" in params else params

    def answer(weights: Any, one: tuple) -> jax.Array:
        whole = {**params, "params": weights} if trained is not params else weights
        heads = _heads(f(whole, *one))
        drawn = {name: jax.random.normal(jax.random.key(i), head.shape) for i, (name, head) in enumerate(heads.items())}
        return sum(((head * drawn[name]).sum() for name, head in heads.items()), jnp.zeros(()))

    def add(total: Any, one: tuple) -> tuple[Any, None]:
        grads = jax.grad(answer)(trained, one)
        return jax.tree.map(lambda t, g: t + (g**2).mean(), total, grads), None

    zero = jax.tree.map(lambda _: jnp.zeros(()), trained)
    total, _ = jax.jit(lambda *rows: jax.lax.scan(add, zero, rows))(jnp.asarray(obs, jnp.float32), *rest)
    layers: dict[str, float] = {}
    for path, square in jax.tree_util.tree_leaves_with_path({"params": total}):
        layers[_module(path)] = max(layers.get(_module(path), 0.0), float(square))
    found = []
    for layer, square in layers.items():
        size = (square / len(obs)) ** 0.5
        says = "learns" if size > 0 else "no answer depends on it: not linked, its gradient stopped, or all above it dead"
        found.append(Finding("gradient", layer, size, "ok" if size > 0 else "fault", says))
    return found


def dead_units(f: Callable, params: Any, obs: Any, *rest: Any) -> list[Finding]:
    """The part of each tagged layer's units (channels of a convolution) that are 0 at every place of every obs[N H W C].

    More than half asks for a look; all of them is a fault. Layers that are never exactly 0 have none.
    """
    largest = jax.jit(lambda *rows: jax.lax.map(lambda one: _sizes(f, params, *one), rows))(jnp.asarray(obs), *rest)
    found = []
    for layer, sizes in largest.items():
        part = float((np.asarray(sizes).max(0) == 0).mean())
        verdict: Verdict = "fault" if part == 1 else "look" if part > 0.5 else "ok"
        says = {"ok": "few never fire", "look": "most never fire: learning rate too high, or inputs out of range"}
        found.append(Finding("dead units", layer, part, verdict, says.get(verdict, "nothing passes through")))
    return found


def _sizes(f: Callable, params: Any, *one: Any) -> dict[str, jax.Array]:
    hidden = activations(f)(params, *one)[1]
    return {name: jnp.abs(h).reshape(-1, h.shape[-1]).max(0) for name, h in hidden.items() if h.ndim}


def merged_streams(f: Callable, params: Any, obs: Any, *rest: Any) -> list[Finding]:
    """Is q = value + advantage, with the advantage's mean over actions taken off? Nothing for networks without streams.

    Wang et al. 2016, eq. 9. The numbers are the largest deviations over obs[N H W C], in parts of the largest |q|.
    """
    out = jax.jit(lambda *rows: jax.lax.map(lambda one: f(params, *one), rows))(jnp.asarray(obs), *rest)
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

    A frame without any share is a fault; one under a tenth of its equal share asks for a look.
    """
    slope = jax.grad(lambda one, *more: score(f(params, one, *more)))
    sizes = jax.jit(lambda *rows: jax.lax.map(lambda one: jnp.abs(slope(*one)).sum((0, 1)), rows))(
        jnp.asarray(obs, jnp.float32), *rest
    )
    each = np.asarray(sizes).sum(0).reshape(-1, channels).sum(1)
    share = each / max(each.sum(), 1e-30)
    found = []
    for k, part in enumerate(share):
        verdict: Verdict = "fault" if part == 0 else "look" if part < 0.1 / len(share) else "ok"
        says = {"ok": "is looked at", "look": "hardly matters", "fault": "changes nothing: it does not get in"}[verdict]
        where = "newest frame" if k == len(share) - 1 else f"frame t-{len(share) - 1 - k}"
        found.append(Finding("frames", where, float(part), verdict, says))
    return found


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


def guided_focus(
    f: Callable, score: Callable, params: Any, obs: np.ndarray, channels: int, *rest: Any
) -> list[Finding]:
    """Guided gradients on what moves: positive and negative sums a pixel, over those of the still rest, of obs[T H W C].

    Rosynski et al. 2020, section 6: agents that learn strengthen both on moving objects. Numbers to follow over training, no
    verdict; nothing for a network without a ReLU, or where nothing moves.
    """
    one = jax.ShapeDtypeStruct(obs.shape[1:], jnp.float32)
    first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), rest)
    if not relu_count(f)(params, one, *first):
        return []
    slope = jax.grad(lambda x, *more: score(guided(f)(params, x, *more)))
    rows = (jnp.asarray(obs, jnp.float32), *rest)
    maps = jax.jit(lambda *rows: jax.lax.map(lambda one: slope(*one), rows))(*rows)
    maps = np.asarray(maps)[1:, ..., -channels:].sum(-1)
    moving = (obs[1:, ..., -channels:] != obs[:-1, ..., -channels:]).any(-1)
    if not moving.any() or moving.all():
        return []
    found = []
    for sign, part in (("positive", np.maximum(maps, 0)), ("negative", np.maximum(-maps, 0))):
        still = max(float(part[~moving].mean()), 1e-30)
        ratio = float(part[moving].mean()) / still
        found.append(Finding("guided gradient", f"{sign}, moving over still", ratio, "ok", "to follow over training"))
    return found
