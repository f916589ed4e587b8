"""How float32 maps stand on disk: as they are, as float16 with a scale a map, or as uint8 with a scale and a zero a map."""

from typing import Any

import numpy as np

#: stored dtype -> the arrays beside `map`, with their dtypes and what an unwritten row reads as
BESIDE: dict[str, dict[str, tuple[str, Any]]] = {
    "float32": {},
    "float16": {"scale": ("float32", 1.0)},
    "uint8": {"scale": ("float32", "NaN"), "zero": ("uint8", 0)},
}
FORMULA = {"float32": "map", "float16": "map * scale", "uint8": "(map - zero) * scale"}


def encode(values: np.ndarray, dtype: str) -> dict[str, np.ndarray]:
    """float32 [n ...] as the arrays that are stored: `map` and those of BESIDE.

    float16: the scale is a power of two that brings a map's largest value near 2^15, so the relative error is at most
    2^-11 for every value above 2e-9 of it, whether that is 1e-9 or 1e6; NaN and infinity stay. uint8: 255 steps between a
    map's least and largest value (and 0, which is kept exactly), the error at most half a step; a map with NaN or
    infinity anywhere becomes NaN everywhere.
    """
    if dtype == "float32":
        return {"map": values}
    return _halves(values) if dtype == "float16" else _bytes(values)


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


def _halves(values: np.ndarray) -> dict[str, np.ndarray]:
    flat = values.reshape(len(values), -1)
    with np.errstate(invalid="ignore", under="ignore"):
        peak = np.maximum(flat.max(axis=1, initial=0), -flat.min(axis=1, initial=0))
        strange = ~np.isfinite(peak)
        if strange.any():
            rest = np.abs(flat[strange])
            peak[strange] = np.where(np.isfinite(rest), rest, 0).max(axis=1)
        # a power of two rounds nothing; 2^15 is half the largest float16; 2^-126 is the least normal float32
        power = np.where(peak > 0, np.maximum(np.frexp(peak)[1] - 15, -126), 0)
        halves = (flat * np.ldexp(np.float32(1), -power)[:, None]).astype(np.float16)
        return {"map": halves.reshape(values.shape), "scale": np.ldexp(np.float32(1), power).astype(np.float32)}


def _bytes(values: np.ndarray) -> dict[str, np.ndarray]:
    flat = values.reshape(len(values), -1).astype(np.float64)
    finite = np.isfinite(flat).all(axis=1)
    flat = np.where(np.expand_dims(finite, 1), flat, 0)
    least, most = flat.min(axis=1, initial=0), flat.max(axis=1, initial=0)
    scale = ((most - least) / 255).astype(np.float32)
    step = np.where(scale > 0, scale, 1).astype(np.float64)
    zero = np.clip(np.rint(-least / step), 0, 255)
    codes = np.clip(np.rint(flat / step[:, None]) + zero[:, None], 0, 255).astype(np.uint8)
    scale = np.where(finite, scale, np.float32(np.nan)).astype(np.float32)
    return {"map": codes.reshape(values.shape), "scale": scale, "zero": zero.astype(np.uint8)}
