"""A function cut in two at a named layer: what lies below runs once, the rest is a function of the layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.transforms._interpret import (
    Eqn,
    Jaxpr,
    Literal,
    Rule,
    Staged,
    bind,
    bodies,
    contains,
    is_jit,
    is_remat,
    is_scan,
    read,
    scan_parts,
    stage,
    step,
)
from rljax_viz.transforms.split import describe, environment, evaluate, flat, live, variables
from rljax_viz.transforms.tag import is_tag, require

Tail = Callable[[jax.Array], list]


def at_layer(f: Callable, name: str) -> Callable[..., tuple[jax.Array, Callable[[jax.Array], Any]]]:
    """`f` in two halves: the activation `name`, and the rest of `f` as a function of it.

    at_layer(f, name)(params, obs, *rest) -> (h, tail), with tail(h) == f(params, obs, *rest). The tail holds what hangs on
    `h` and nothing else: what lies below or beside is computed once and captured, so a loop over `tail` pays for the
    part above only. Inside a scan `h` is stacked, [T ...], and tail(h) feeds step t with h[t].
    Raises KeyError for a missing name; ValueError if it stands twice, in a while_loop or in one branch of a cond, or if
    the tail is given another shape; NotImplementedError where it cannot be reached.
    """

    def halves(params, obs, *rest):
        staged = stage(f, (params, obs, *rest), {})
        require([name], staged.jaxpr)
        staged = flat(staged, _hides(name))
        h, above = _cut(staged.jaxpr, environment(staged), name)
        shape = describe(h)

        def tail(h):
            h = jnp.asarray(h)
            if describe(h) != shape:
                raise ValueError(f"tail(h) expects {name!r} as {shape}, got {describe(h)}; an edit keeps shape and dtype")
            return jax.tree.unflatten(staged.out_tree, above(h))

        return h, tail

    return halves


def _reading(name: str) -> Rule:
    return Rule(lambda eqn: is_tag(eqn, [name]), bind, collect=lambda eqn, outputs: {name: outputs[0]})


def _holds(eqn: Eqn, name: str) -> bool:
    return is_tag(eqn, [name]) or any(contains(body, _reading(name)) for body in bodies(eqn))


def _hides(name: str) -> Callable[[Eqn], bool]:
    """Every jit is written out, so that its parts can be sorted; a remat only where it hides the tag."""
    return lambda eqn: is_jit(eqn) or (is_remat(eqn) and _holds(eqn, name))


def _above(eqns: Sequence[Eqn], start: Iterable, name: str) -> set:
    """The variables that hang on the tag `name` or on `start`."""
    above = set(start)
    for eqn in eqns:
        if _holds(eqn, name) or any(v in above for v in variables(eqn.invars)):
            above.update(eqn.outvars)
    return above


def _halves(eqns: Sequence[Eqn], above: set, name: str) -> tuple[Eqn, list[Eqn], list[Eqn]]:
    """The equation that holds the tag, those below or beside it, those above it."""
    (holder,) = [eqn for eqn in eqns if _holds(eqn, name)]
    rest = [eqn for eqn in eqns if eqn is not holder]
    upper = [eqn for eqn in rest if any(v in above for v in variables(eqn.invars))]
    return holder, [eqn for eqn in rest if not any(eqn is u for u in upper)], upper


def _cut(jaxpr: Jaxpr, env: dict, name: str) -> tuple[jax.Array, Tail]:
    holder, lower, upper = _halves(jaxpr.eqns, _above(jaxpr.eqns, (), name), name)
    later, needed = live(upper, jaxpr.outvars, holder.outvars)
    before, _ = live(lower, [*needed, *holder.invars])
    now = evaluate(before, env)
    h, planted = _open(holder, read(now, holder.invars), name)
    captured = {v: now[v] for v in needed if v not in holder.outvars}

    def tail(h):
        env = {**captured, **dict(zip(holder.outvars, planted(h), strict=True))}
        return read(evaluate(later, env), jaxpr.outvars)

    return h, tail


def _open(holder: Eqn, inputs: list, name: str) -> tuple[jax.Array, Tail]:
    """The tag that `holder` is or holds, and the outputs of `holder` as a function of it."""
    if is_tag(holder):
        return inputs[0], lambda h: bind(holder, [h])
    if is_scan(holder):
        return _cut_scan(holder, inputs, name)
    rule = _reading(name)
    h = step(holder, inputs, rule)[1][name]
    return h, lambda h: step(holder, inputs, rule._replace(apply=lambda eqn, _: bind(eqn, [h])))[0]


def _cut_scan(eqn: Eqn, inputs: list, name: str) -> tuple[jax.Array, Tail]:
    """Two scans: one runs everything and keeps what the other, which starts from the tag, needs of each step."""
    loop = {key: eqn.params[key] for key in ("length", "reverse", "unroll")}
    consts, init, xs = scan_parts(eqn, inputs)
    body = _flat_body(eqn, name)
    jaxpr, eqns, outputs = body.jaxpr, body.jaxpr.eqns, body.jaxpr.outvars
    same = [*body.consts, *eqn.params["jaxpr"].consts, *consts]  # at every step
    names = [*jaxpr.constvars, *jaxpr.invars]
    carried, scanned = names[len(same) :][: len(init)], names[len(same) + len(init) :]

    moving = _moving(jaxpr, carried, name)
    above = _above(eqns, moving, name)
    holder, lower, upper = _halves(eqns, above, name)
    rises = [not isinstance(v, Literal) and v in above for v in outputs]
    wanted = [v for v, r in zip(outputs, rises, strict=True) if r]
    if is_tag(holder):
        later, needed = live(upper, wanted, holder.outvars)
    else:
        later, needed = live([e for e in eqns if e is holder or any(e is u for u in upper)], wanted)
    shared = _steady(lower, dict(zip(names, same, strict=False)))
    kept = [v for v in needed if not (v in moving or v in shared or v in holder.outvars)]

    def first(carry, x):
        found = {}

        def how(e, operands):
            outs, new = step(e, operands, _reading(name)) if e is holder else (bind(e, operands), {})
            found.update(new)
            return outs

        env = evaluate(eqns, {**shared, **dict(zip([*carried, *scanned], [*carry, *x], strict=True))}, how)
        outs = read(env, outputs)
        return outs[: len(init)], (outs[len(init) :], found[name], [env[v] for v in kept])

    carry, (ys, h, stacked) = jax.lax.scan(first, list(init), list(xs), **loop)
    start = [value for v, value in zip(carried, init, strict=True) if v in moving]

    def tail(h):
        def again(state, x):
            h_t, kept_t = x
            env = {**shared, **dict(zip([*moving, *kept], [*state, *kept_t], strict=True))}
            if is_tag(holder):
                env[holder.outvars[0]] = bind(holder, [h_t])[0]
            env = evaluate(later, env, lambda e, xs: _open(e, xs, name)[1](h_t) if e is holder else bind(e, xs))
            outs = read(env, wanted)
            return outs[: len(moving)], outs[len(moving) :]

        state, risen = jax.lax.scan(again, start, (h, stacked), **loop)
        new = iter([*state, *risen])
        return [next(new) if r else old for r, old in zip(rises, [*carry, *ys], strict=True)]

    return h, tail


def _flat_body(eqn: Eqn, name: str) -> Staged:
    body = eqn.params["jaxpr"]
    return flat(Staged(body.jaxpr, body.consts, [v.aval for v in body.jaxpr.invars], None), _hides(name))


def _moving(jaxpr: Jaxpr, carried: Sequence, name: str) -> list:
    """Which parts of the carry come to hang on the tag, at whatever step."""
    moving: list = []
    while True:
        above = _above(jaxpr.eqns, moving, name)
        ends = jaxpr.outvars[: len(carried)]
        new = [v for v, end in zip(carried, ends, strict=True) if not isinstance(end, Literal) and end in above]
        if new == moving:
            return moving
        moving = new


def _steady(eqns: Sequence[Eqn], shared: dict) -> dict:
    """`shared` and what is made of it alone: once, not at every step."""
    have, once = set(shared), []
    for eqn in eqns:
        if not eqn.effects and all(v in have for v in variables(eqn.invars)):
            have.update(eqn.outvars)
            once.append(eqn)
    return evaluate(once, shared)
