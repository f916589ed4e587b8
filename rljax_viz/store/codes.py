"""How float32 maps stand on disk: as they are, as float16 with a scale a map, or as uint8 with a scale and a zero a map."""

from collections.abc import Callable
from typing import Any

import numpy as np

#: stored dtype -> the arrays beside `map`, with their dtypes and what an unwritten row reads as
BESIDE: dict[str, dict[str, tuple[str, Any]]] = {
    "float32": {},
    "float16": {"scale": ("float32", 1.0)},
    "uint8": {"scale": ("float32", "NaN"), "zero": ("uint8", 0)},
}
FORMULA = {"float32": "map", "float16": "map * scale", "uint8": "(map - zero) * scale"}


def encode(values: Any, dtype: str, xp: Any = np) -> tuple[dict[str, Any], Any]:
    """float32 [n ...] as the arrays that are stored, `map` and those of BESIDE, and which maps are finite, bool [n].

    float16: the scale is a power of two that brings a map's largest value near 2^15, so the relative error is at most
    2^-11 for every value above 2e-9 of it, whether that is 1e-9 or 1e6; NaN and infinity stay. uint8: 255 steps between a
    map's least and largest value (and 0, which is kept exactly), the error at most half a step; a map with NaN or
    infinity anywhere becomes NaN everywhere. `xp` is numpy, or jax.numpy inside a program.
    """
    with np.errstate(invalid="ignore", under="ignore", over="ignore"):
        flat = values.reshape(len(values), -1)
        peak = xp.abs(flat).max(axis=1, initial=0)
        finite = xp.isfinite(flat).all(axis=1)  # not of the peak: XLA's maximum loses NaN on CPU
        if dtype == "float32":
            return {"map": values}, finite
        return (_halves if dtype == "float16" else _bytes)(values, flat, peak, finite, xp), finite


def decode(stored: dict[str, np.ndarray]) -> np.ndarray:
    """What `encode` made, as float32 again."""
    values = stored["map"]
    if "scale" not in stored:
        return values
    over = (-1, *[1] * (values.ndim - 1))
    with np.errstate(invalid="ignore"):  # a map may hold infinities and NaN: they are kept
        values = values.astype(np.float32)
        if "zero" in stored:
            values -= stored["zero"].astype(np.float32).reshape(over)
        values *= stored["scale"].reshape(over)
    return values


def _halves(values: Any, flat: Any, peak: Any, finite: Any, xp: Any) -> dict[str, Any]:
    def of_the_rest() -> Any:
        return xp.where(xp.isfinite(flat), xp.abs(flat), xp.float32(0)).max(axis=1, initial=0)

    peak = _unless(finite.all(), peak, of_the_rest, xp)
    # a power of two rounds nothing; 2^15 is half the largest float16; 2^-126 is the least normal float32
    power = xp.where(peak > 0, xp.maximum(xp.frexp(peak)[1] - 15, -126), 0)
    one = xp.float32(1)
    halves = (flat * xp.ldexp(one, -power)[:, None]).astype(xp.float16)
    return {"map": halves.reshape(values.shape), "scale": xp.ldexp(one, power).astype(xp.float32)}


def _bytes(values: Any, flat: Any, peak: Any, finite: Any, xp: Any) -> dict[str, Any]:
    flat = _unless(finite.all(), flat, lambda: xp.where(finite[:, None], flat, xp.float32(0)), xp)
    least, most = flat.min(axis=1, initial=0), flat.max(axis=1, initial=0)
    scale = most / xp.float32(255) - least / xp.float32(255)
    step = xp.where(scale > 0, scale, xp.float32(1))
    zero = xp.clip(xp.rint(-least / step), 0, 255)
    codes = xp.clip(xp.rint(flat / step[:, None]) + zero[:, None], 0, 255).astype(xp.uint8)
    scale = xp.where(finite, scale, xp.float32(np.nan)).astype(xp.float32)
    return {"map": codes.reshape(values.shape), "scale": scale, "zero": zero.astype(xp.uint8)}


def _unless(good: Any, value: Any, other: Callable[[], Any], xp: Any) -> Any:
    """`value` where all is well, which it nearly always is, else `other()`, which costs more."""
    if xp is np:
        return value if good else other()
    import jax  # the rest of this room does without

    return jax.lax.cond(good, lambda: value, other)
