"""The forms of one convolution: `form(x[N H W C], w[h w C K], conv) -> [N oh ow K]`, all equal but for rounding.

Each is made of plain operations, so it can be differentiated, batched (over `w` too, for seeds) and is affine in `x`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Conv(NamedTuple):
    """A convolution beside its operands: strides, padding ((top, bottom), (left, right)), precision of the product.

    Dilated kernels and groups are for `lax` and `native` alone.
    """

    strides: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    precision: Any = None
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def is_plain(self) -> bool:
        return self.dilation == (1, 1) and self.groups == 1


Form = Callable[[jax.Array, jax.Array, Conv], jax.Array]
_LAYOUT = ("NHWC", "HWIO", "NHWC")


def as_lax(x: jax.Array, w: jax.Array, conv: Conv) -> jax.Array:
    """XLA's own convolution."""
    return lax.conv_general_dilated(
        x, w, conv.strides, conv.padding, None, conv.dilation, _LAYOUT, conv.groups, precision=conv.precision
    )


def as_shifts(x: jax.Array, w: jax.Array, conv: Conv) -> jax.Array:
    """Shifted slices beside each other, and one matrix product; strided kernels after space-to-depth."""
    x, w, conv = _deep(padded(x, conv), w, conv)
    kh, kw, _, out = w.shape
    patches = jnp.concatenate([_shift(x, w, conv, i, j) for i in range(kh) for j in range(kw)], -1)
    return _product(patches, w.reshape(-1, out), conv)


def as_rows(x: jax.Array, w: jax.Array, conv: Conv) -> jax.Array:
    """Slices shifted along the width beside each other, and a sum of one matrix product for each row of the kernel."""
    x, w, conv = _deep(padded(x, conv), w, conv)
    kh, kw, _, out = w.shape
    (sh, sw), (oh, ow) = conv.strides, _out(x, w, conv)
    wide = [x[:, :, j : j + (ow - 1) * sw + 1 : sw] for j in range(kw)]
    wide = jnp.concatenate(wide, -1)
    rows = [wide[:, i : i + (oh - 1) * sh + 1 : sh] for i in range(kh)]
    return functools.reduce(jnp.add, (_product(row, w[i].reshape(-1, out), conv) for i, row in enumerate(rows)))


def as_sum(x: jax.Array, w: jax.Array, conv: Conv) -> jax.Array:
    """A sum of one matrix product for each place in the kernel: no patches in memory."""
    x, w, conv = _deep(padded(x, conv), w, conv)
    kh, kw = w.shape[:2]
    places = ((i, j) for i in range(kh) for j in range(kw))
    return functools.reduce(jnp.add, (_product(_shift(x, w, conv, i, j), w[i, j], conv) for i, j in places))


def as_patches(x: jax.Array, w: jax.Array, conv: Conv) -> jax.Array:
    """`lax.conv_general_dilated_patches`, and one matrix product."""
    kh, kw, c, out = w.shape
    first = conv.precision[0] if isinstance(conv.precision, tuple) else conv.precision
    patches = lax.conv_general_dilated_patches(
        x, (kh, kw), conv.strides, conv.padding, dimension_numbers=_LAYOUT, precision=first
    )
    return _product(patches, w.transpose(2, 0, 1, 3).reshape(kh * kw * c, out), conv)


def as_tiles(x: jax.Array, w: jax.Array, conv: Conv, tile: tuple[int, int]) -> jax.Array:
    """A tile of outputs at a time: overlapping blocks of input times the kernel written out for the whole tile."""
    (sh, sw), (kh, kw, c, out) = conv.strides, w.shape
    x = padded(x, conv)
    oh, ow = _out(x, w, conv)
    th, tw = min(tile[0], oh), min(tile[1], ow)
    nh, nw = -(-oh // th), -(-ow // tw)
    bh, bw = (th - 1) * sh + kh, (tw - 1) * sw + kw
    need = ((nh - 1) * th * sh + bh, (nw - 1) * tw * sw + bw)
    x = jnp.pad(x, ((0, 0), *((0, max(n - s, 0)) for n, s in zip(need, x.shape[1:3], strict=True)), (0, 0)))
    rows = jnp.stack([x[:, i * th * sh : i * th * sh + bh] for i in range(nh)], 1)
    blocks = jnp.stack([rows[:, :, :, j * tw * sw : j * tw * sw + bw] for j in range(nw)], 2)
    full = jnp.stack([_placed(w, (i * sh, j * sw), (bh, bw)) for i in range(th) for j in range(tw)], -2)
    y = _product(blocks.reshape(x.shape[0], nh, nw, -1), full.reshape(bh * bw * c, th * tw * out), conv)
    y = y.reshape(x.shape[0], nh, nw, th, tw, out).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(x.shape[0], nh * th, nw * tw, out)[:, :oh, :ow]


FORMS: dict[str, Form] = {
    "lax": as_lax,
    "shifts": as_shifts,
    "rows": as_rows,
    "sum": as_sum,
    "patches": as_patches,
    "tiles-2x2": functools.partial(as_tiles, tile=(2, 2)),
    "tiles-2x4": functools.partial(as_tiles, tile=(2, 4)),
    "tiles-2x8": functools.partial(as_tiles, tile=(2, 8)),
    "tiles-4x4": functools.partial(as_tiles, tile=(4, 4)),
}


def flipped(g: jax.Array, w: jax.Array, conv: Conv, size: tuple[int, int]) -> jax.Array:
    """The gradient by the input as a convolution of the same kind, `g` with the kernel turned round.

    g[N oh ow K], w[h w C K] -> [N H W C] for an input of `size` (H, W). XLA's own has another layout of its operands and
    is a hundred times slower in a scan on CPU. Strides other than 1 need a kernel of whole strides.
    """

    def deep(x):
        return deep_frames(padded(x, conv), w.shape, conv)

    w_deep, conv_deep = deep_kernel(w, conv)
    if conv_deep.strides != (1, 1):
        raise ValueError(f"flipped needs a kernel of whole strides, got {w.shape[:2]} and strides {conv.strides}")
    kh, kw = w_deep.shape[:2]
    turned = jnp.flip(w_deep, (0, 1)).swapaxes(2, 3)
    if conv.strides == (1, 1):  # only the pixels that are not padding
        (top, bottom), (left, right) = conv.padding
        kept = ((kh - 1 - top, kh - 1 - bottom), (kw - 1 - left, kw - 1 - right))
        return as_lax(g, turned, Conv((1, 1), kept, conv.precision))
    whole = as_lax(g, turned, Conv((1, 1), ((kh - 1, kh - 1), (kw - 1, kw - 1)), conv.precision))
    x = like((g.shape[0], *size, w.shape[2]), g)
    return jax.linear_transpose(deep, x)(whole)[0]


def _placed(w: jax.Array, at: tuple[int, int], size: tuple[int, int]) -> jax.Array:
    room = [(a, s - a - k) for a, s, k in zip(at, size, w.shape[:2], strict=True)]
    return jnp.pad(w, (*room, (0, 0), (0, 0)))


def padded(x: jax.Array, conv: Conv) -> jax.Array:
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, ((0, 0, 0), *((lo, hi, 0) for lo, hi in conv.padding), (0, 0, 0)))


def _out(x: jax.Array, w: jax.Array, conv: Conv) -> tuple[int, int]:
    (sh, sw), (kh, kw) = conv.strides, w.shape[:2]
    return (x.shape[1] - kh) // sh + 1, (x.shape[2] - kw) // sw + 1


def _shift(x: jax.Array, w: jax.Array, conv: Conv, i: int, j: int) -> jax.Array:
    (sh, sw), (oh, ow) = conv.strides, _out(x, w, conv)
    return x[:, i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw]


def _product(x: jax.Array, w: jax.Array, conv: Conv) -> jax.Array:
    contract = (((x.ndim - 1,), (0,)), ((), ()))
    return lax.dot_general(x, w, contract, precision=conv.precision)


def _deep(x: jax.Array, w: jax.Array, conv: Conv) -> tuple[jax.Array, jax.Array, Conv]:
    """Space to depth: a strided convolution as one of stride 1 over blocks, where the kernel is whole blocks."""
    return deep_frames(x, w.shape, conv), *deep_kernel(w, conv)


def deep_frames(x: jax.Array, kernel: Sequence[int], conv: Conv) -> jax.Array:
    """Padded frames [N H W C] in blocks of one stride [N H/s W/s s*s*C]; unchanged where the kernel is not whole blocks."""
    if not is_deep(kernel, conv.strides):
        return x
    (sh, sw), c = conv.strides, x.shape[3]
    bh, bw = (s // t for s, t in zip(_used(x, kernel, conv), conv.strides, strict=True))
    x = x[:, : bh * sh, : bw * sw].reshape(-1, bh, sh, bw, sw, c)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, bh, bw, sh * sw * c)


def _used(x: jax.Array, kernel: Sequence[int], conv: Conv) -> tuple[int, ...]:
    """Height and width of the padded frames that the convolution reads."""
    spans = zip(x.shape[1:3], kernel, conv.strides, strict=False)
    return tuple((size - k) // s * s + k for size, k, s in spans)


def deep_kernel(w: jax.Array, conv: Conv) -> tuple[jax.Array, Conv]:
    """The kernel over such blocks, and its convolution."""
    (sh, sw), (kh, kw, c, out) = conv.strides, w.shape
    if not is_deep(w.shape, conv.strides):
        return w, conv
    w = w.reshape(kh // sh, sh, kw // sw, sw, c, out).transpose(0, 2, 1, 3, 4, 5)
    return w.reshape(kh // sh, kw // sw, sh * sw * c, out), conv._replace(strides=(1, 1))


def is_deep(kernel: Sequence[int], strides: tuple[int, int]) -> bool:
    """Whether space-to-depth turns a strided convolution into one of stride 1."""
    return strides != (1, 1) and kernel[0] % strides[0] == 0 and kernel[1] % strides[1] == 0


def like(shape: tuple[int, ...], a: jax.Array) -> jax.ShapeDtypeStruct:
    """`shape` in the dtype of `a`, varying over the same axes of a shard_map."""
    return jax.eval_shape(lambda a: jnp.broadcast_to(a.reshape(-1)[:1].reshape((1,) * len(shape)), shape), a)
