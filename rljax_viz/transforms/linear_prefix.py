"""The part of a function that is affine in the observation, cut off, so that a path of inputs pays for it once.

A straight path of observations is a straight path of `z`: prefix(a x + (1 - a) y) == a prefix(x) + (1 - a) prefix(y).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.transforms._interpret import Eqn, Literal, Staged, is_jit, is_remat, read, stage
from rljax_viz.transforms.split import describe, environment, evaluate, flat, live, variables

# Affine whichever operands are. The cheap ones are done again in the rest where that makes `z` smaller.
_LIGHT = {"add", "sub", "add_any", "neg", "copy", "copy_p", "reshape", "transpose", "squeeze", "expand_dims", "rev"}
_LIGHT |= {"broadcast_in_dim", "concatenate", "pad", "slice", "split", "tag"}
_CHEAP = _LIGHT | {"mul", "div", "select_n", "convert_element_type"}
_SUMS = {"reduce_sum", "reduce_window_sum", "cumsum"}
# Affine in these operands while the others are constant.
_OPERANDS: dict[str, tuple[set[int], ...]] = {
    "mul": ({0}, {1}),
    "div": ({0},),
    "dot_general": ({0}, {1}),
    "conv_general_dilated": ({0}, {1}),
    "planned_conv": ({0}, {1}),
    "dynamic_slice": ({0},),
    "dynamic_update_slice": ({0}, {1}, {0, 1}),
    "gather": ({0},),
    "scatter-add": ({0}, {2}, {0, 2}),
}
AFFINE = frozenset(_LIGHT | _SUMS | set(_OPERANDS) | {"select_n", "convert_element_type"})


def is_affine(eqn: Eqn, moving: set[int]) -> bool:
    """Whether the results of `eqn` are affine in the operands `moving`, the others being constant."""
    name = eqn.primitive.name
    if not all(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in [*eqn.outvars, *(eqn.invars[i] for i in moving)]):
        return False
    if name in _OPERANDS:
        return moving in _OPERANDS[name]
    return name in AFFINE and not (name == "select_n" and 0 in moving)


def linear_prefix(f: Callable) -> Callable[..., tuple[tuple[jax.Array, ...], Callable[[Any], Any]]]:
    """The values where `f` stops being affine in `obs`, and the rest of `f` as a function of them.

    linear_prefix(f)(params, obs, *rest) -> (z, tail), with tail(z) == f(params, obs, *rest): `z` is a tuple of arrays, for
    a CNN the first convolution and its bias. Only `obs` moves `z` (as float32 if it is integer); what hangs on nothing
    else is computed once and captured. Nothing affine: z is `obs`. A scan, cond, while_loop and functions with
    derivatives of their own count as not affine; jit and remat are written out (a tail rematerialises nothing).
    Raises ValueError from `tail` if it is given a `z` of other shapes.
    """

    def cut(params, obs, *rest):
        staged = stage(f, (params, jax.tree.map(_as_float, obs), *rest), {})
        inputs = len(staged.leaves)
        staged = flat(staged, lambda eqn: is_jit(eqn) or is_remat(eqn))
        first = len(staged.leaves) - inputs + len(jax.tree.leaves(params))
        return _cut(staged, staged.jaxpr.invars[first : first + len(jax.tree.leaves(obs))])

    return cut


def _as_float(x: Any) -> jax.Array:
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)


def _cut(staged: Staged, obs: Sequence) -> tuple[tuple[jax.Array, ...], Callable[[Any], Any]]:
    eqns, outputs = staged.jaxpr.eqns, staged.jaxpr.outvars
    kinds = _kinds(eqns, obs)
    affine = [eqn for eqn in eqns if kinds[id(eqn)] == "affine"]
    moving = {*obs, *(out for eqn in affine for out in eqn.outvars)}
    used = variables([v for eqn in eqns if kinds[id(eqn)] == "other" for v in eqn.invars] + list(outputs))
    frontier = _shrink([v for v in used if v in moving], affine, moving)

    later, needed = live([eqn for eqn in eqns if kinds[id(eqn)] != "fixed"], outputs, frontier)
    before, _ = live([eqn for eqn in eqns if kinds[id(eqn)] != "other"], [*frontier, *needed])
    now = evaluate(before, environment(staged))
    captured = {v: now[v] for v in needed if v not in frontier}
    shapes = [describe(v.aval) for v in frontier]

    def tail(z):
        values = [jnp.asarray(value) for value in jax.tree.leaves(z)]
        if [describe(value) for value in values] != shapes:
            raise ValueError(f"tail(z) expects z = {shapes}, as linear_prefix gave it, got {list(map(describe, values))}")
        env = evaluate(later, {**captured, **dict(zip(frontier, values, strict=True))})
        return jax.tree.unflatten(staged.out_tree, read(env, outputs))

    return tuple(now[v] for v in frontier), tail


def _kinds(eqns: Sequence[Eqn], obs: Sequence) -> dict[int, str]:
    """Each equation: does it hang on `obs` not at all (fixed), affinely, or otherwise (other)?"""
    moving, other, kinds = set(obs), set(), {}
    for eqn in eqns:
        operands = {i for i, v in enumerate(eqn.invars) if not isinstance(v, Literal) and v in moving}
        if any(v in other for v in variables(eqn.invars)) or (operands and not is_affine(eqn, operands)):
            kinds[id(eqn)] = "other"
            other.update(eqn.outvars)
        elif operands:
            kinds[id(eqn)] = "affine"
            moving.update(eqn.outvars)
        else:
            kinds[id(eqn)] = "fixed"
    return kinds


def _shrink(frontier: list, affine: Sequence[Eqn], moving: set) -> list:
    """Steps back over cheap equations wherever that leaves fewer numbers: before a broadcast, a pad, a copy."""
    maker = {out: eqn for eqn in affine if eqn.primitive.name in _CHEAP for out in eqn.outvars}
    for v in frontier:
        others = [u for u in frontier if u is not v]
        front = best = [v]
        while any(u in maker for u in front):
            u = max((u for u in front if u in maker), key=_size)
            behind = [w for w in variables(maker[u].invars) if w in moving]
            front = [w for w in dict.fromkeys([*(w for w in front if w is not u), *behind]) if w not in others]
            best = min(best, front, key=lambda variables: sum(map(_size, variables)))
        if best != [v]:
            return _shrink([*others, *best], affine, moving)
    return frontier


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)
