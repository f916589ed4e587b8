"""Which form a convolution takes on CPU, forward and in each of its two gradients, by the shapes of the layer.

The rules were read off `benchmarks/conv_forms.py` on two cores: XLA's own convolution is the fastest forward and, with its
operands laid out as forward, by the input; by the weights only matrix products are fast inside a scan.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rljax_viz.transforms import native
from rljax_viz.transforms._interpret import bilinear
from rljax_viz.transforms.conv_forms import FORMS, Conv, flipped, is_deep, like


class Plan(NamedTuple):
    """Names of forms (FORMS, or "flipped" by the input): for the result, its gradient by the input, and by the weights."""

    forward: str
    by_input: str
    by_weights: str


NATIVE = Plan("native", "native", "native")


def choose(x: Sequence[int], w: Sequence[int], conv: Conv, dtype: Any = jnp.float32) -> Plan | None:
    """The fastest forms for a convolution of x[N H W C] with w[h w C/groups K] on CPU; N does not matter.

    None of them is slow inside a scan: `lax` is taken forward only, where it is as fast there. oneDNN, where it is
    installed, wins nearly everywhere but in the smallest. None: XLA's own, for want of another (dilated, grouped, no oneDNN).
    """
    (kh, kw, c, out), (sh, sw) = w, conv.strides
    if not conv.is_plain:
        return NATIVE if native.usable(dtype) else None
    oh, ow = ((s + sum(p) - k) // t + 1 for s, p, k, t in zip(x[1:3], conv.padding, w[:2], conv.strides, strict=True))
    if oh * ow * kh * kw * c * out < 250_000:  # MinAtar: the call of a convolution costs more than its arithmetic
        return Plan("shifts", "shifts", "shifts")
    if native.usable(dtype):
        return NATIVE
    if kh * kw > 144:  # a sum over so many places is no gain
        return None
    deep = is_deep(w, conv.strides)
    places = kh * kw // (sh * sw) if deep else kh * kw
    if places <= 9:
        return Plan("lax", "flipped", "rows") if deep else Plan("lax", "sum", "sum")
    tile = "tiles-4x4" if out < 32 else "tiles-2x2" if oh * ow <= 256 else "tiles-2x4"
    few = c < 8 or not (deep or conv.strides == (1, 1))
    return Plan("lax", "tiles-2x8" if few else "flipped", tile)


def planned(x: jax.Array, w: jax.Array, conv: Conv, plan: Plan) -> jax.Array:
    """The convolution of x[N H W C] with w[h w C/groups K] in the forms of `plan`."""
    return side(x, w, role="result", size=x.shape[1:3], kernel=w.shape[:2], conv=conv, plan=plan)


def side(a: jax.Array, b: jax.Array, role: str, size: tuple, kernel: tuple, conv: Conv, plan: Plan) -> jax.Array:
    """One side of sum(conv(x, w) * g), x of `size`: role "result" of (x, w), "input" of (g, w) or "weights" of (x, g)."""
    static = {"role": role, "size": size, "kernel": kernel, "conv": conv, "plan": plan}
    if role == "result" and len(set(plan)) == 1 and plan != NATIVE:
        return FORMS[plan.forward](a, b, conv)  # plain operations: nothing to hide from jax
    return _bind(_spread(a, b), _spread(b, a), **static)


def dense(x: jax.Array, w: jax.Array) -> jax.Array:
    """x[... C] @ w[C K] by oneDNN: a convolution of one pixel."""
    out = planned(x.reshape(-1, 1, 1, x.shape[-1]), w[None, None], Conv(), NATIVE)
    return out.reshape(*x.shape[:-1], w.shape[1])


def _spread(a: jax.Array, other: jax.Array) -> jax.Array:
    """`a`, varying over the axes of a shard_map over which `other` varies: so its gradient is summed over them.

    jax's own operations do it by themselves, in a way whose name changes from version to version; so one of them does it.
    """
    kinds = [getattr(jax.typeof(v), "manual_axis_type", getattr(jax.typeof(v), "vma", None)) for v in (a, other)]
    if kinds[0] == kinds[1]:
        return a
    one = jax.lax.stop_gradient(other).reshape(-1)[0]
    return jnp.where(False, one, a)


# One trilinear form, sum(conv(x, w) * g), seen from its three sides. Each side is bilinear and its adjoints are the other
# two, so derivatives of any order stay in the forms that were chosen. Operands: result (x, w), input (g, w), weights (x, g).


def _run(a, b, *, role: str, size: tuple[int, int], kernel: tuple[int, int], conv: Conv, plan: Plan):
    if plan == NATIVE:
        return native.convolve(a, b, role=role, size=size, kernel=kernel, conv=conv)
    if role == "result":
        return FORMS[plan.forward](a, b, conv)
    if role == "input":
        if plan.by_input == "flipped":
            return flipped(a, b, conv, size)
        x = like((a.shape[0], *size, b.shape[2] * conv.groups), a)
        return jax.linear_transpose(lambda x: FORMS[plan.by_input](x, b, conv), x)(a)[0]
    w = like((*kernel, a.shape[3] // conv.groups, b.shape[3]), a)
    return jax.linear_transpose(lambda w: FORMS[plan.by_weights](a, w, conv), w)(b)[0]


def _to_left(ct, a, b, *, role, **static):
    if role == "result":
        return _bind(ct, b, role="input", **static)
    if role == "input":
        return _bind(ct, b, role="result", **static)
    return _bind(b, ct, role="input", **static)


def _to_right(ct, a, b, *, role, **static):
    if role == "result":
        return _bind(a, ct, role="weights", **static)
    if role == "input":
        return _bind(ct, a, role="weights", **static)
    return _bind(a, ct, role="result", **static)


def _batched(args, axes, *, role, **static):
    a, b = (v if axis is None else jnp.moveaxis(v, axis, 0) for v, axis in zip(args, axes, strict=True))
    bind = functools.partial(_bind, role=role, **static)
    if axes[1] is None and role != "weights":  # more frames
        out = bind(a.reshape(-1, *a.shape[2:]), b)
        return out.reshape(*a.shape[:2], *out.shape[1:]), 0
    if axes[0] is None and role == "result" and static["conv"].groups == 1:  # the same frames, several kernels: more filters
        s, kh, kw, c, k = b.shape
        out = bind(a, b.transpose(1, 2, 3, 0, 4).reshape(kh, kw, c, s * k))
        return out.reshape(*out.shape[:3], s, k), 3
    if (a if axes[0] is None else a[0]).shape[0] >= 8:  # seeds, a batch each: one after the other, in the fastest form
        whole = [v if axis is not None else None for v, axis in zip((a, b), axes, strict=True)]
        given = (a, b)

        def one(slices):
            return bind(*(g if v is None else v for v, g in zip(slices, given, strict=True)))

        return jax.lax.map(one, whole), 0
    few = "shifts" if static["conv"].is_plain else "lax"
    plain = {**static, "plan": Plan(few, few, few)}  # one frame each: one batched product
    return jax.vmap(functools.partial(_run, role=role, **plain), [None if d is None else 0 for d in axes])(a, b), 0


_bind: Any = bilinear("planned_conv", _run, _to_left, _to_right, _batched)
