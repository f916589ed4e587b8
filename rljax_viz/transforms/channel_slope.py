"""How a number changes when a whole channel of a layer is shifted: its gradient summed over places, but not computed.

Grad-CAM weighs channels by it. A convolution of a shifted layer is the convolution of the layer plus a map of the shift
alone, so the gradient by its input, the most expensive part of a backward pass, is never needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.transforms._interpret import Eqn, Literal, bind, is_jit, read, stage
from rljax_viz.transforms.conv_forms import Conv
from rljax_viz.transforms.conv_match import match
from rljax_viz.transforms.split import environment, evaluate, flat

_SAME_NUMBERS = {"tag", "copy", "copy_p", "convert_element_type"}
_UNIT_AXES = {"reshape", "expand_dims", "squeeze", "broadcast_in_dim"}


class _Reading(NamedTuple):
    """A convolution as one of frames of `size` (H, W) by w[h w C K]; `axis` is where the equation's frames keep C."""

    w: jax.Array
    size: tuple[int, ...]
    conv: Conv
    axis: int
    result: Callable[[jax.Array], jax.Array]


def channel_slope(f: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """d f(h + s) / ds at s = 0, one `s` a channel: the sum over places of f's gradient by the layer h[h w c].

    channel_slope(f)(h) -> float32 [c]; f(h) is a scalar. Equal to `jax.grad(f)(h).sum((0, 1))` but for rounding. Where
    plain convolutions read `h` (of any layout, padding, stride and dilation, several of them too) their gradient by it is
    not computed; what anything else reads of `h` goes the usual way. Raises ValueError if `h` is not [h w c].
    """

    def slope(h: jax.Array) -> jax.Array:
        if h.ndim != 3:
            raise ValueError(f"channel_slope needs a layer [h w c], got shape {h.shape}")
        return jax.grad(lambda s: _shifted(f, h, s))(jnp.zeros(h.shape[2], jnp.float32))

    return slope


def _shifted(f: Callable, h: jax.Array, s: jax.Array) -> jax.Array:
    """f(h + s), where `s` is zero and is only differentiated by."""
    staged = flat(stage(f, (h,), {}), is_jit)
    axes = {staged.jaxpr.invars[-1]: 2}  # what holds the numbers of `h`, and where it keeps the channels

    def read_shifted(v, value):
        if isinstance(v, Literal) or v not in axes:
            return value
        shape = [1] * value.ndim
        shape[axes[v]] = s.size
        return _beside(value, jnp.broadcast_to(s.reshape(shape), value.shape).astype(value.dtype))

    def how(eqn: Eqn, inputs: list) -> list:
        held = [not isinstance(v, Literal) and v in axes for v in eqn.invars]
        if held == [True, False] and (found := _reading(eqn, inputs)) and found.axis == axes[eqn.invars[0]]:
            (y,) = bind(eqn, inputs)
            return [_beside(y, found.result(_of_shift(s, found, y)).astype(y.dtype))]
        axis = _moved(eqn, axes[eqn.invars[0]]) if held == [True] else None
        if axis is not None:
            axes[eqn.outvars[0]] = axis
            return bind(eqn, inputs)
        return bind(eqn, [read_shifted(v, x) for v, x in zip(eqn.invars, inputs, strict=True)])

    env = evaluate(staged.jaxpr.eqns, environment(staged), how)
    outputs = zip(staged.jaxpr.outvars, read(env, staged.jaxpr.outvars), strict=True)
    return jax.tree.unflatten(staged.out_tree, [read_shifted(v, x) for v, x in outputs])


@jax.custom_jvp
def _beside(y: jax.Array, shift: jax.Array) -> jax.Array:
    """y + shift for a shift of zero: `y`, with the derivatives of the sum."""
    return y


@_beside.defjvp
def _beside_jvp(primals, tangents):
    return _beside(*primals), tangents[0] + tangents[1]


def _reading(eqn: Eqn, inputs: list) -> _Reading | None:
    """The convolution that an equation is, plain or in a form of `fast_convs`, if its result is what it computes."""
    if eqn.primitive.name == "planned_conv":
        p = eqn.params
        if p["role"] != "result" or p["conv"].groups != 1:
            return None
        return _Reading(inputs[1], p["size"], p["conv"], 3, lambda y: y)
    found = match(eqn)
    if isinstance(found, str) or found.role != "result" or found.conv.groups != 1:
        return None
    axis = eqn.params["dimension_numbers"].lhs_spec[1]
    return _Reading(found.operands(*inputs)[1], found.x[1:3], found.conv, axis, found.result)


def _of_shift(s: jax.Array, found: _Reading, y: jax.Array) -> jax.Array:
    """The convolution of a frame that is `s` at every place: float32 [1 oh ow K].

    A tap adds s @ w[tap] to the outputs for which it does not lie in the padding.
    """
    w, conv = found.w.astype(jnp.float32), found.conv
    sides = zip(found.size, w.shape[:2], conv.strides, conv.dilation, conv.padding, strict=True)
    rows, columns = (_inside(*side) for side in sides)
    shape = (1, len(rows), len(columns), w.shape[3])
    if rows.all() and columns.all():
        flat = jnp.einsum("c,co->o", s, w.sum((0, 1)), precision="highest")
        return jnp.broadcast_to(flat.reshape(1, 1, 1, -1), shape)
    taps = jnp.einsum("c,ijco->ijo", s, w, precision="highest")
    wide = jnp.einsum("xj,ijo->ixo", columns.astype(np.float32), taps, precision="highest")
    return jnp.einsum("yi,ixo->yxo", rows.astype(np.float32), wide, precision="highest")[None]


def _inside(size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]) -> np.ndarray:
    """[out kernel] bool: for which outputs each tap lies inside the frame."""
    out = (size + sum(pads) - (kernel - 1) * dilation - 1) // stride + 1
    at = stride * np.arange(out)[:, None] + dilation * np.arange(kernel)[None, :] - pads[0]
    return (at >= 0) & (at < size)


def _moved(eqn: Eqn, axis: int) -> int | None:
    """Where the result of an equation that holds the same numbers keeps their axis `axis`; None if it is another kind."""
    (x,), (y,), name = eqn.invars, eqn.outvars, eqn.primitive.name
    before, after = x.aval.shape, y.aval.shape
    if name in _SAME_NUMBERS and jnp.issubdtype(y.aval.dtype, jnp.floating):
        return axis
    if name == "transpose":
        return eqn.params["permutation"].index(axis)
    sides = [[i for i, n in enumerate(shape) if n != 1] for shape in (before, after)]
    same = [before[i] for i in sides[0]] == [after[i] for i in sides[1]]
    return sides[1][sides[0].index(axis)] if name in _UNIT_AXES and same and before[axis] != 1 else None
