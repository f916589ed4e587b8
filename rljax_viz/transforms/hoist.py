"""What a loop over time does not need its carry for runs before it, for all steps at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from rljax_viz.transforms._interpret import UNREACHED, Eqn, Rule, is_jit, is_remat, is_scan, read, run, scan_parts, stage
from rljax_viz.transforms.split import Staged, evaluate, flat, live, variables

#: operations that are worth it; the rest (casts, sums) would only fill memory
_HEAVY = frozenset({"dot_general", "conv_general_dilated", "planned_conv"})


def hoist(f: Callable) -> Callable:
    """`f`, whose loops (`lax.scan`) hold only what needs their carry.

    hoist(f)(*args) -> f's output, to rounding. Of a CNN with an LSTM the convolutions, and the gates' share of what is
    seen, run in one large batch over time, and so do their weights' gradients; what needs neither carry nor step (weights
    put side by side) runs once. A loop without a product or convolution to take out stays as it is, and so do effects.
    Memory: what is taken out lies there for all steps. Tags in a loop come out stacked, as ever, but an edit sees all
    steps: read and edit before.
    """

    def hoisted(*args, **kwargs):
        rule = Rule(lambda eqn: is_scan(eqn) and _cut(eqn).pays, _in_two, UNREACHED)
        return run(stage(f, args, kwargs), rule)[0]

    return hoisted


class _Cut(NamedTuple):
    """A loop's body: `once` needs only constants, `ahead` no carry, `inside` is the rest; what they hand on."""

    body: Staged
    once: list[Eqn]
    ahead: list[Eqn]
    inside: list[Eqn]
    fixed: list
    border: list

    @property
    def pays(self) -> bool:
        effects = any(eqn.effects for eqn in self.body.jaxpr.eqns)  # they keep their order
        return not effects and any(eqn.primitive.name in _HEAVY for eqn in self.ahead)


def _cut(scan: Eqn) -> _Cut:
    closed = scan.params["jaxpr"]
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in closed.jaxpr.invars]
    body = flat(Staged(closed.jaxpr, list(closed.consts), shapes, None), lambda eqn: is_jit(eqn) or is_remat(eqn))
    eqns, outputs = body.jaxpr.eqns, body.jaxpr.outvars
    known, carry, steps = _operands(scan, body)
    fixed, remembered, seen = set(known), set(carry), set(steps)
    made: set = set()
    for eqn in eqns:
        needs = variables(eqn.invars)
        if any(v in remembered for v in needs):
            remembered.update(eqn.outvars)
        elif any(v in seen for v in needs):
            seen.update(eqn.outvars)
        elif any(v in fixed for v in needs):
            fixed.update(eqn.outvars)
            made.update(eqn.outvars)
    late = [v for eqn in eqns if not remembered.isdisjoint(eqn.outvars) for v in variables(eqn.invars)]
    wanted = variables([*late, *outputs])
    border, constant = [v for v in wanted if v in seen], [v for v in wanted if v in made]
    once, ahead = live(eqns, constant)[0], live(eqns, border)[0]
    return _Cut(body, once, ahead, live(eqns, outputs, [*border, *constant])[0], constant, border)


def _operands(scan: Eqn, body: Staged) -> tuple[list, list, list]:
    """The variables of constants, of the carry, and of a step in the body that was written out."""
    names = list(body.jaxpr.invars)
    closed = len(names) - len(scan.invars)  # constants of the body itself come first
    known, carry, steps = scan_parts(scan, names[closed:])
    return [*names[:closed], *known], carry, steps


def _in_two(scan: Eqn, inputs: list) -> list:
    cut, p = _cut(scan), scan.params
    consts, init, xs = scan_parts(scan, inputs)
    known, carry, steps = _operands(scan, cut.body)
    given = [*p["jaxpr"].consts, *consts]
    env = dict(zip([*cut.body.jaxpr.constvars, *known], [*cut.body.consts, *given], strict=True))
    env |= dict(zip(cut.fixed, read(evaluate(cut.once, env), cut.fixed), strict=True))

    def ahead(step: Sequence) -> list:
        return read(evaluate(cut.ahead, env | dict(zip(steps, step, strict=True))), cut.border)

    def one(memory: list, handed: list) -> tuple[list, list]:
        inside = env | dict(zip([*carry, *cut.border], [*memory, *handed], strict=True))
        outputs = read(evaluate(cut.inside, inside), cut.body.jaxpr.outvars)
        return outputs[: len(init)], outputs[len(init) :]

    handed: Any = jax.vmap(ahead)(list(xs))
    last, ys = jax.lax.scan(one, list(init), handed, length=p["length"], reverse=p["reverse"], unroll=p["unroll"])
    return [*last, *ys]
