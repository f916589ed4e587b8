"""Programs as lists of equations that can be cut: some run now, the others later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import jax

from rljax_viz.transforms._interpret import Eqn, Jaxpr, Literal, Staged, bind, read, stage


def flat(staged: Staged, inline: Callable[[Eqn], bool]) -> Staged:
    """The same program with the bodies of the jit and remat equations that `inline` picks written out in place."""

    def written_out(consts, leaves):
        return _write_out(staged.jaxpr, consts, leaves, inline)

    again = stage(written_out, (staged.consts, staged.leaves), {})
    return again._replace(out_tree=staged.out_tree)


def _write_out(jaxpr: Jaxpr, consts: Sequence, args: Sequence, inline: Callable[[Eqn], bool]) -> list:
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    for eqn in jaxpr.eqns:
        inputs = read(env, eqn.invars)
        if inline(eqn):
            body = eqn.params["jaxpr"]
            outputs = _write_out(getattr(body, "jaxpr", body), getattr(body, "consts", ()), inputs, inline)
        else:
            outputs = bind(eqn, inputs)
        env.update(zip(eqn.outvars, outputs, strict=True))
    return read(env, jaxpr.outvars)


def environment(staged: Staged) -> dict:
    """The values that a staged program starts from, by variable."""
    variables = [*staged.jaxpr.constvars, *staged.jaxpr.invars]
    return dict(zip(variables, [*staged.consts, *staged.leaves], strict=True))


def variables(items: Iterable) -> list:
    """Without the literals, each once, in order."""
    return list(dict.fromkeys(v for v in items if not isinstance(v, Literal)))


def live(eqns: Sequence[Eqn], wanted: Iterable, given: Iterable = ()) -> tuple[list[Eqn], list]:
    """The equations of `eqns` that `wanted` hangs on, not looking behind `given`; -> (equations, what they need)."""
    stop = set(given)
    need, kept = dict.fromkeys(variables(wanted)), []
    for eqn in reversed(eqns):
        if eqn.effects or any(out in need and out not in stop for out in eqn.outvars):
            kept.append(eqn)
            need.update(dict.fromkeys(variables(eqn.invars)))
    made = {out for eqn in kept for out in eqn.outvars} - stop
    return kept[::-1], [v for v in need if v not in made]


def evaluate(eqns: Iterable[Eqn], env: dict, how: Callable[[Eqn, list], list] = bind) -> dict:
    """`env` and what `eqns` make of it; what stands in `env` already is not replaced."""
    env = dict(env)
    for eqn in eqns:
        if eqn.outvars and all(out in env for out in eqn.outvars):
            continue
        for out, value in zip(eqn.outvars, how(eqn, read(env, eqn.invars)), strict=True):
            env.setdefault(out, value)
    return env


def describe(x: jax.Array) -> str:
    return f"{x.dtype}{list(x.shape)}"
