"""The first convolution of a function, for changes of the frame that are products of a row and a column."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.transforms import native
from rljax_viz.transforms._interpret import Eqn, Literal, Staged, bind, is_jit, is_remat, read, stage
from rljax_viz.transforms.conv_forms import Conv
from rljax_viz.transforms.conv_match import match
from rljax_viz.transforms.fast_convs import fast_convs
from rljax_viz.transforms.split import environment, evaluate, flat, live

Along = Callable[[jax.Array], Callable[[jax.Array], jax.Array]]
#: what may stand between the observation and its convolution: scaling by one number, and axes of one
_KEEPS = {"convert_element_type", "copy", "copy_p", "tag", "reshape", "squeeze", "expand_dims", "broadcast_in_dim"}
_SCALES = {"mul", "div"}


def separable_prefix(f: Callable) -> Callable[..., tuple[Along, Callable[[jax.Array], Any]]]:
    """`f` of obs + (sum_r rows[r] x columns[r]) * change, for many rows and columns: the first convolution a row, not a pair.

    separable_prefix(f)(params, obs[H W C], change[H W C], *rest) -> (along, tail):
    along(rows[R H])(columns[R W]) -> z, and tail(z) == f(params, obs + spot[..., None] * change, *rest) to a rounding, with
    spot = sum_r outer(rows[r], columns[r]). What `along` does before it is given columns is as much work as R convolutions;
    the rest a kernel's width times the numbers of `z`. Where `f` does not begin with a two-dimensional convolution of the
    scaled observation (and nothing else looks at it), z is the altered observation, and nothing is saved.
    """

    def cut(params, obs, change, *rest):
        staged = stage(f, (params, obs, *rest), {})
        inputs = len(staged.leaves)
        staged = flat(staged, lambda eqn: is_jit(eqn) or is_remat(eqn))
        at = len(staged.leaves) - inputs + len(jax.tree.leaves(params))
        first = _first(staged, staged.jaxpr.invars[at]) if obs.ndim == 3 else None
        if first is None:
            return _altered(obs, change), lambda z: f(params, z, *rest)
        return _cut(staged, first, obs, change)

    return cut


class _First(NamedTuple):
    """The convolution that an observation meets first, as one of x[1 H W C]: `before` is what scales the observation."""

    before: list[Eqn]
    eqn: Eqn
    conv: Conv
    operands: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    result: Callable[[jax.Array], jax.Array]


def _first(staged: Staged, obs: Any) -> _First | None:
    v, before = obs, []
    while True:
        users = [eqn for eqn in staged.jaxpr.eqns if any(u is v for u in eqn.invars)]
        if len(users) != 1 or any(u is v for u in staged.jaxpr.outvars):
            return None
        (eqn,) = users
        if eqn.invars[0] is v and not any(u is v for u in eqn.invars[1:]):
            conv = _convolution(eqn)
            if conv is not None:
                return _First(before, eqn, *conv)
            numbers = [not isinstance(u, Literal) and u.aval.shape != () for u in eqn.invars[1:]]
            scales = eqn.primitive.name in _SCALES and not any(numbers)
            if scales or (eqn.primitive.name in _KEEPS and _same_pixels(eqn)):
                before.append(eqn)
                (v,) = eqn.outvars
                continue
        return None


def _same_pixels(eqn: Eqn) -> bool:
    """Whether the result holds the operand's numbers in their order: no axis but those of one came or went."""
    before, after = ([size for size in v.aval.shape if size != 1] for v in (eqn.invars[0], eqn.outvars[0]))
    return before == after


def _convolution(eqn: Eqn) -> tuple | None:
    """(conv, operands, result) of a convolution of one frame, not grouped, not dilated."""
    if eqn.primitive.name == "planned_conv":
        role, conv, x = eqn.params["role"], eqn.params["conv"], eqn.invars[0].aval.shape
        operands, result = (lambda a, b: (a, b)), (lambda out: out)
    else:
        found = match(eqn)
        if isinstance(found, str):
            return None
        role, conv, x, operands, result = found.role, found.conv, found.x, found.operands, found.result
    plain = role == "result" and conv.is_plain and x[0] == 1 and min(p for side in conv.padding for p in side) >= 0
    return (conv, operands, result) if plain else None


def _altered(obs: jax.Array, change: jax.Array) -> Along:
    def along(rows):
        return lambda columns: obs + jnp.einsum("rh,rw->hw", rows, columns, precision="highest")[..., None] * change

    return along


def _cut(staged: Staged, first: _First, obs: jax.Array, change: jax.Array) -> tuple[Along, Callable[[jax.Array], Any]]:
    eqns, outputs, (out,) = staged.jaxpr.eqns, staged.jaxpr.outvars, first.eqn.outvars
    later, needed = live(eqns, outputs, [out])
    weights = [v for v in first.eqn.invars[1:] if not isinstance(v, Literal)]
    others = [u for eqn in first.before for u in eqn.invars[1:] if not isinstance(u, Literal)]
    before, _ = live(eqns, [out, *weights, *others, *(v for v in needed if v is not out)])
    now = evaluate(before, environment(staged))
    later, _ = live(eqns, outputs, [v for v in needed if v in now])
    clean = now[out]

    def scaled(x: jax.Array) -> jax.Array:
        for eqn in first.before:
            (x,) = bind(eqn, [x, *read(now, eqn.invars[1:])])
        return x

    x, w = first.operands(scaled(change), *read(now, first.eqn.invars[1:]))
    dtype = x.dtype if native.usable(x.dtype) else jnp.float32
    blocks, kernel = _in_blocks(x[0].astype(dtype), w.astype(dtype), first.conv)
    (up, _), (left, _) = first.conv.padding
    still = clean.astype(jnp.float32)

    def along(rows):
        parts = fast_convs(_by_column)(_fit(rows, 1, up, blocks.shape[0] * blocks.shape[3]).astype(dtype), blocks, kernel)
        parts = parts.reshape(*parts.shape[:4], -1, w.shape[3])  # [R oh mx sx qx K]
        width = parts.shape[2] - parts.shape[4] + 1

        def of_columns(columns):
            columns = _fit(columns, 1, left, math.prod(parts.shape[2:4])).reshape(len(columns), *parts.shape[2:4])
            moved = 0
            for r, block, place in np.ndindex(len(columns), parts.shape[4], parts.shape[3]):
                weights = columns[r, block : block + width, place]
                moved += weights[None, :, None] * parts[r, :, block : block + width, place, block]
            return (still + first.result(jnp.asarray(moved)[None])).astype(clean.dtype)

        return of_columns

    def tail(z):
        known = {v: now[v] for v in now if v is not out}
        return jax.tree.unflatten(staged.out_tree, read(evaluate(later, {**known, out: z}), outputs))

    return along, tail


def _in_blocks(x: jax.Array, w: jax.Array, conv: Conv) -> tuple[jax.Array, jax.Array]:
    """x[H W C] in blocks of the strides, [my mx sx sy C], and w[h w C K] as the kernel [qy 1 sy*C sx*qx*K] over them.

    A pixel in column m sx + s is seen by the outputs m - q, q < qx = ceil(w / sx), through column q sx + s of the kernel.
    """
    (sy, sx), (kh, kw, c, k) = conv.strides, w.shape
    qy, qx = -(-kh // sy), -(-kw // sx)
    for axis, size, q in ((0, kh, qy), (1, kw, qx)):
        low, high = conv.padding[axis]
        count = (x.shape[axis] + low + high - size) // conv.strides[axis] + q
        x = _fit(x, axis, low, count * conv.strides[axis])
    w = jnp.pad(w, ((0, qy * sy - kh), (0, qx * sx - kw), (0, 0), (0, 0)))
    w = w.reshape(qy, sy, qx, sx, c, k).transpose(0, 1, 4, 3, 2, 5).reshape(qy, 1, sy * c, sx * qx * k)
    return x.reshape(x.shape[0] // sy, sy, x.shape[1] // sx, sx, c).transpose(0, 2, 3, 1, 4), w


def _by_column(rows: jax.Array, blocks: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of rows[R my*sy] * blocks, not yet summed over the kernel's columns: float32 [R oh mx sx qx*K].

    One convolution, a group for each s, whose kernel is one block wide.
    """
    my, mx, sx, sy, c = blocks.shape
    x = (rows.reshape(-1, my, 1, 1, sy, 1) * blocks[None]).reshape(-1, my, mx, sx * sy * c)
    layout = ("NHWC", "HWIO", "NHWC")
    out = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=layout, feature_group_count=sx)
    return out.astype(jnp.float32).reshape(*out.shape[:3], sx, -1)


def _fit(x: jax.Array, axis: int, low: int, size: int) -> jax.Array:
    """`x` with `low` zeros before it along `axis`, and zeros or nothing of its end, so that it has `size`."""
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (low, size - low - x.shape[axis], 0)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), pads)
