"""The walk over the equations of a staged function: the only file that touches `jax.extend` and `jax.interpreters`.

A function is staged to a jaxpr and its equations are evaluated one by one. What a `Rule` matches is replaced; what it
does not, sub-programs that hold no match included, is bound unchanged, so custom derivatives and compiled bodies survive.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core as jex
from jax.extend.core import primitives as lax_p
from jax.interpreters import ad, batching, mlir

if TYPE_CHECKING:  # jax types its abstract values too narrowly to be of use
    Eqn: TypeAlias = Any
    Jaxpr: TypeAlias = Any
else:
    Eqn = jex.JaxprEqn
    Jaxpr = jex.Jaxpr
Literal = jex.Literal
Found = dict[str, Any]

# ---------------------------------------------------------------- the marker: an identity primitive that bears a name

tag_p = jex.Primitive("tag")
tag_p.def_impl(lambda x, *, name: x)
tag_p.def_abstract_eval(lambda x, *, name: x)
mlir.register_lowering(tag_p, lambda ctx, x, *, name: [x])


def _tag_jvp(primals, tangents, *, name):
    return tag_p.bind(*primals, name=name), tangents[0]  # a tangent bears no name: it would be met twice


def _tag_batch(args, dims, *, name):
    # The axis of an inner vmap always lands in front, wherever the network left it: [seed, ...layer].
    return tag_p.bind(jnp.moveaxis(args[0], dims[0], 0), name=name), 0


ad.primitive_jvps[tag_p] = _tag_jvp
batching.primitive_batchers[tag_p] = _tag_batch


def bilinear(name: str, forward: Callable, to_left: Callable, to_right: Callable, batched: Callable) -> Callable:
    """A primitive that is linear in each of its two operands, with adjoints and batches of our choice.

    -> bind(a, b, **static). `forward(a, b, **static)` is what runs; `to_left(ct, a, b)` and `to_right(ct, a, b)` give the
    gradients, the operand in question being its abstract value; `batched((a, b), (a's axis or None, b's), **static)` gives
    the result and its axis. Closed under differentiation, of any order and both modes, if the adjoints are.
    """
    p = jex.Primitive(name)
    p.def_impl(forward)

    def abstract(a, b, **static):
        shapes = (jax.ShapeDtypeStruct(v.shape, v.dtype) for v in (a, b))
        out = jax.eval_shape(functools.partial(forward, **static), *shapes)
        return a.update(shape=out.shape, dtype=out.dtype, weak_type=False)

    p.def_abstract_eval(abstract)
    mlir.register_lowering(p, mlir.lower_fun(forward, multiple_results=False))
    ad.defbilinear(
        p,
        lambda ct, a, b, **static: to_left(ct, a.aval, b, **static),
        lambda ct, a, b, **static: to_right(ct, a, b.aval, **static),
    )
    batching.primitive_batchers[p] = batched
    return p.bind


# ------------------------------------------------------------------------------------------------ rules and the walk


class Rule(NamedTuple):
    """Which equations of a function are replaced, and by what.

    `matches(eqn) -> bool` is asked of every equation; `apply(eqn, inputs) -> outputs` stands in for those it picks (lists of
    arrays, one an operand, one a result). The insides of primitives named in `opaque` are left alone even where they match.
    `collect(eqn, outputs) -> {name: value}` reads values out; scan stacks them.
    """

    matches: Callable[[Eqn], bool]
    apply: Callable[[Eqn, list], list]
    opaque: Container[str] = frozenset()
    collect: Callable[[Eqn, list], Found] = lambda eqn, outputs: {}


def bodies(eqn: Eqn) -> list[Jaxpr]:
    """The sub-programs of an equation, found by type, whatever the primitive."""
    kinds = (jex.Jaxpr, jex.ClosedJaxpr)
    flat = jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda v: isinstance(v, kinds))
    return [getattr(v, "jaxpr", v) for v in flat if isinstance(v, kinds)]


def holds(eqn: Eqn, rule: Rule) -> bool:
    """Whether a sub-program of `eqn` holds a match."""
    return eqn.primitive.name not in rule.opaque and any(contains(body, rule) for body in bodies(eqn))


def contains(jaxpr: Jaxpr, rule: Rule) -> bool:
    return any(rule.matches(eqn) or holds(eqn, rule) for eqn in jaxpr.eqns)


def count(jaxpr: Jaxpr, rule: Rule) -> int:
    """How many equations of `jaxpr`, insides included, the rule replaces; the body of a loop counts once."""
    total = 0
    for eqn in jaxpr.eqns:
        if rule.matches(eqn):
            total += 1
        elif eqn.primitive.name not in rule.opaque:
            total += sum(count(body, rule) for body in bodies(eqn))
    return total


def scope(eqn: Eqn) -> str:
    """The transforms and named scopes under which `eqn` was staged, as jax writes them: 'jvp(Conv_0)'; '' if unknown."""
    return str(getattr(eqn.source_info, "name_stack", ""))


def is_jit(eqn: Eqn) -> bool:
    return eqn.primitive is lax_p.jit_p


def is_remat(eqn: Eqn) -> bool:
    return eqn.primitive is lax_p.remat_p


def is_scan(eqn: Eqn) -> bool:
    return eqn.primitive is lax_p.scan_p


def bind(eqn: Eqn, inputs: Sequence) -> list:
    """Evaluates one equation unchanged (its custom derivatives and source info are kept)."""
    got = eqn.primitive.get_bind_params(eqn.params)
    functions, params = got if isinstance(got, tuple) else ((), got)  # jax before 0.7 splits the functions off
    with eqn.ctx.manager:
        out = eqn.primitive.bind(*functions, *inputs, **params)
    return list(out) if eqn.primitive.multiple_results else [out]


def walk(jaxpr: Jaxpr, consts: Sequence, args: Sequence, rule: Rule) -> tuple[list, Found]:
    """Evaluates `jaxpr` with `rule` in place of the equations it matches; -> (outputs, {name: what was collected})."""
    env: dict = {**dict(zip(jaxpr.constvars, consts, strict=True)), **dict(zip(jaxpr.invars, args, strict=True))}
    found: Found = {}
    for eqn in jaxpr.eqns:
        outputs, new = step(eqn, read(env, eqn.invars), rule)
        merge(found, new)
        env.update(zip(eqn.outvars, outputs, strict=True))
    return read(env, jaxpr.outvars), found


def read(env: dict, variables: Iterable) -> list:
    return [v.val if isinstance(v, Literal) else env[v] for v in variables]


def step(eqn: Eqn, inputs: list, rule: Rule) -> tuple[list, Found]:
    """One equation under `rule`: replaced, walked into, or bound unchanged."""
    if rule.matches(eqn):
        outputs = list(rule.apply(eqn, inputs))
        return outputs, rule.collect(eqn, outputs)
    if not holds(eqn, rule):
        return bind(eqn, inputs), {}
    inside = _INSIDE.get(eqn.primitive)
    if inside is None:
        raise NotImplementedError(_unreachable(eqn.primitive.name))
    return inside(eqn, inputs, rule)


def _unreachable(name: str) -> str:
    mend = {
        "shard_map": "apply the transform inside: shard_map(activations(f), ...), not activations(shard_map(f))",
        "custom_jvp_call": "move it out of the function with jax.custom_jvp, e.g. tag the function's result",
        "custom_vjp_call": "move it out of the function with jax.custom_vjp, e.g. tag the function's result",
    }.get(name, "move it outside, e.g. tag the result")
    return f"what this transform looks for (a tag, a ReLU, ...) lies inside `{name}`, where it cannot be reached; {mend}"


def merge(found: Found, new: Found) -> None:
    twice = sorted(found.keys() & new.keys())
    if twice:
        raise ValueError(twice_message(twice))
    found.update(new)


def twice_message(names: list[str]) -> str:
    return (
        f"tag {names} is met more than once in this function; give every use a name of its own, e.g. "
        f"tag(x, 'actor/{names[0]}'). (A backward pass repeats tags too: apply the transform to f, then differentiate.)"
    )


# -------------------------------------------------------------------------- inside jit, remat, scan, cond, while_loop


def _in_jit(eqn, inputs, rule):
    body = eqn.params["jaxpr"]

    def run(*xs):
        return walk(body.jaxpr, body.consts, xs, rule)

    run.__name__ = str(eqn.params.get("name", "run"))
    return jax.jit(run)(*inputs)


def _in_remat(eqn, inputs, rule):
    p = eqn.params
    run = functools.partial(walk, p["jaxpr"], (), rule=rule)
    return jax.checkpoint(lambda *xs: run(xs), policy=p["policy"], prevent_cse=p["prevent_cse"])(*inputs)


def _in_scan(eqn, inputs, rule):
    p, body = eqn.params, eqn.params["jaxpr"]
    consts, init, xs = scan_parts(eqn, inputs)

    def one(carry, x):
        outputs, found = walk(body.jaxpr, body.consts, [*consts, *carry, *x], rule)
        return outputs[: len(init)], (outputs[len(init) :], found)

    carry, (ys, found) = jax.lax.scan(
        one, list(init), list(xs), length=p["length"], reverse=p["reverse"], unroll=p["unroll"]
    )
    return [*carry, *ys], found  # found: the leading axis is the step


def scan_parts(eqn: Eqn, items: Sequence) -> tuple[list, list, list]:
    """Splits what belongs to the operands of a scan equation into (constants, carry, what is scanned over)."""
    p = eqn.params
    if "ft_in" in p:  # from jax 0.11 on
        n, carried = (len(part.vals) for part in p["ft_in"].unpack()[:2])
    else:
        n, carried = p["num_consts"], p["num_carry"]
    m = n + carried
    return list(items[:n]), list(items[n:m]), list(items[m:])


def _in_cond(eqn, inputs, rule):
    index, *operands = inputs
    branches = [lambda *xs, b=b: walk(b.jaxpr, b.consts, xs, rule) for b in eqn.params["branches"]]
    shapes = [jax.eval_shape(b, *operands)[1] for b in branches]
    if any(s != shapes[0] for s in shapes):
        have = [{k: v.shape for k, v in s.items()} for s in shapes]
        raise ValueError(
            f"the branches of a cond hold different tags or shapes: {have}; tag the same names in every branch, "
            "or tag the result of the cond instead"
        )
    return jax.lax.switch(index, branches, *operands)


def _in_while(eqn, inputs, rule):
    p = eqn.params
    nc, nb = p["cond_nconsts"], p["body_nconsts"]
    cc, bc, init = inputs[:nc], inputs[nc : nc + nb], inputs[nc + nb :]

    def run(which, consts, carry):
        outputs, found = walk(p[which].jaxpr, p[which].consts, [*consts, *carry], rule)
        if found:
            raise ValueError(
                f"tag {sorted(found)} lies inside a while_loop, which has no fixed number of values to collect: it can "
                "be edited (intervene), not read; use lax.scan, or tag the result of the loop"
            )
        return outputs

    out = jax.lax.while_loop(
        lambda c: run("cond_jaxpr", cc, c)[0], lambda c: run("body_jaxpr", bc, c), list(init)
    )
    return list(out), {}


_INSIDE = {
    lax_p.jit_p: _in_jit,
    lax_p.remat_p: _in_remat,
    lax_p.scan_p: _in_scan,
    lax_p.cond_p: _in_cond,
    lax_p.while_p: _in_while,
}
REACHED = frozenset(p.name for p in _INSIDE)


class _Unreached:
    """The names of all primitives whose insides the walk cannot enter, for `Rule.opaque`: what hides there stays."""

    def __contains__(self, name: object) -> bool:
        return name not in REACHED


UNREACHED = _Unreached()


# ------------------------------------------------------------------------------------------------------------ staging


class Staged(NamedTuple):
    """A function as equations: its program, the values of its arguments, and how its outputs are put together."""

    jaxpr: Jaxpr
    consts: list
    leaves: list
    out_tree: Any


def stage(f: Callable, args: tuple, kwargs: dict) -> Staged:
    closed, shape = jax.make_jaxpr(f, return_shape=True)(*args, **kwargs)
    return Staged(closed.jaxpr, closed.consts, jax.tree.leaves((args, kwargs)), jax.tree.structure(shape))


def run(staged: Staged, rule: Rule) -> tuple[Any, Found]:
    outputs, found = walk(staged.jaxpr, staged.consts, staged.leaves, rule)
    return jax.tree.unflatten(staged.out_tree, outputs), found
