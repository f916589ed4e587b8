"""Which convolution an equation is: the result of one, or what jax makes of its gradient by the input or by the weights.

jax writes all three as `conv_general_dilated`, with their operands laid out in many ways. Here each is read as one side of
sum(conv(x, w) * g) with x[N H W C], w[h w C/groups K], g[N oh ow K], so that the fast forms serve functions that were
differentiated already, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rljax_viz.transforms._interpret import Eqn
from rljax_viz.transforms.conv_forms import Conv


class Match(NamedTuple):
    """One side of a convolution: `role` "result" (x, w), "input" (g, w) or "weights" (x, g).

    `operands(lhs, rhs)` turns those of the equation into these two; `result(out)` turns what comes out back.
    """

    role: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    conv: Conv
    operands: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    result: Callable[[jax.Array], jax.Array]


def match(eqn: Eqn) -> Match | str:
    """The convolution that an equation is, or why it is none that can take another form."""
    if eqn.primitive.name != "conv_general_dilated":
        return "no convolution"
    p, dtypes = eqn.params, {v.aval.dtype for v in (*eqn.invars, *eqn.outvars)}
    lhs, rhs, out = (v.aval.shape for v in (*eqn.invars, *eqn.outvars))
    if len(lhs) != 4:
        return f"{len(lhs) - 2}-dimensional"
    if p["batch_group_count"] != 1:
        return "the gradient of a grouped one by its weights"
    if len(dtypes) > 1 or not all(jnp.issubdtype(d, jnp.floating) for d in dtypes):
        return f"dtypes {', '.join(str(v.aval.dtype) for v in eqn.invars)} -> {eqn.outvars[0].aval.dtype}"
    if min(lhs + rhs + out) < 1:
        return "empty"
    return _read(eqn, lhs, rhs, out)


def _read(eqn: Eqn, lhs, rhs, out) -> Match | str:
    p, numbers = eqn.params, eqn.params["dimension_numbers"]
    to_nhwc = _turn(numbers.lhs_spec, (0, 2, 3, 1))
    to_hwio = _turn(numbers.rhs_spec, (2, 3, 1, 0))
    back = _inverse(_turn(numbers.out_spec, (0, 2, 3, 1)))
    a, r, y = (tuple(s[i] for i in t) for s, t in ((lhs, to_nhwc), (rhs, to_hwio), (out, _inverse(back))))
    strides, ld, rd = (_pair(p[k]) for k in ("window_strides", "lhs_dilation", "rhs_dilation"))
    pads = _pair(p["padding"][0]), _pair(p["padding"][1])
    groups, precision, one = int(p["feature_group_count"]), p["precision"], (1, 1)
    plain = groups == 1 and strides == one

    if plain and r[0] * r[1] > y[1] * y[2]:  # a kernel larger than the result: a sum over places, by the weights
        if ld == one:
            x, w = (a[3], *a[1:3], a[0]), (*y[1:3], a[0], r[3])
            found = _ends([(x[i + 1], r[i], w[i], rd[i], pads[i][0]) for i in (0, 1)])
            if found:
                return Match(
                    "weights", x, w, Conv(rd, found, precision),
                    lambda a, r: (a.transpose(_then(to_nhwc, (3, 1, 2, 0))), r.transpose(_then(to_hwio, (2, 0, 1, 3)))),
                    lambda w: w.transpose(_then((2, 0, 1, 3), back)),
                )  # fmt: skip
        elif rd == one:  # of a transposed convolution: frames and cotangents change places
            x, w = (r[2], *r[:2], r[3]), (*y[1:3], r[3], a[0])
            found = _ends([(r[i], a[i + 1], w[i], ld[i], w[i] - 1 - pads[i][0]) for i in (0, 1)])
            if found:
                return Match(
                    "weights", x, w, Conv(ld, found, precision),
                    lambda a, r: (r.transpose(_then(to_hwio, (2, 0, 1, 3))), a.transpose(_then(to_nhwc, (3, 1, 2, 0)))),
                    lambda w: jnp.flip(w, (0, 1)).transpose(_then((3, 0, 1, 2), back)),
                )  # fmt: skip
    if ld == one:
        crop = [(max(-low, 0), max(-high, 0)) for low, high in pads]  # what a negative padding takes away
        kept = tuple(slice(low, size - high) for (low, high), size in zip(crop, a[1:3], strict=True))
        x = (a[0], *(s.stop - s.start for s in kept), a[3])
        (top, bottom), (left, right) = pads
        pads = ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)))
        return Match(
            "result", x, r, Conv(strides, pads, precision, rd, groups),
            lambda a, r: (a.transpose(to_nhwc)[:, kept[0], kept[1]], r.transpose(to_hwio)),
            lambda y: y.transpose(back),
        )  # fmt: skip
    if plain and rd == one:  # the gradient of a strided convolution by its input, or a transposed convolution
        x, w = y, (*r[:2], r[3], r[2])
        found = _ends([(x[i + 1], a[i + 1], w[i], ld[i], w[i] - 1 - pads[i][0]) for i in (0, 1)])
        if found:
            return Match(
                "input", x, w, Conv(ld, found, precision),
                lambda a, r: (a.transpose(to_nhwc), jnp.flip(r.transpose(_then(to_hwio, (0, 1, 3, 2))), (0, 1))),
                lambda x: x.transpose(back),
            )  # fmt: skip
    return "dilated in a way that is no gradient of a plain convolution"


def _ends(sides: list[tuple[int, int, int, int, int]]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The padding of a convolution from sides (size, out, kernel, stride, low padding); None if there is none."""
    found = []
    for size, out, kernel, stride, low in sides:
        high = max((out - 1) * stride + kernel - size - low, 0)
        if low < 0 or (size + low + high - kernel) // stride + 1 != out:
            return None
        found.append((low, high))
    return found[0], found[1]


def _pair(values) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)


def _turn(spec, order) -> tuple[int, ...]:
    return tuple(spec[i] for i in order)


def _then(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """Two transpositions as one."""
    return tuple(first[i] for i in second)


def _inverse(turn: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(turn)), key=turn.__getitem__))
