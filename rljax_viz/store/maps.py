"""Maps of many frames on disk: written in any order, resumed after a kill, float16 at any magnitude."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rljax_viz.store import arrays

VERSION = 1
KIND = "maps"
_SHARD_BYTES = 16 << 20


def create_maps(
    path: str | os.PathLike,
    *,
    frames: int,
    shape: tuple[int, ...],
    attributes: Mapping[str, Any],
    dtype: str = "float16",
    shard: int | None = None,
) -> "Maps":
    """A store for one map of `shape` per frame; if it is there already with equal attributes, that one, to go on with.

    On disk: `map[N *shape]`, `scale[N]` float32 (with float16 only) and `done[N]`; the value is `map * scale`, in the
    units that `attributes` should say. The scale of a frame is a power of two that brings its largest value near 2^15,
    so the relative error is at most 2^-11 for every value above 2e-9 of the frame's largest, whether that is 1e-9 or
    1e6. dtype "float32" keeps every bit at twice the size. `shard` is the number of frames a file (the default keeps
    files under 16 MiB): what a kill can lose.
    Raises ValueError if the store there has other attributes, frames, shape or dtype, and says which.
    """
    path, attributes = Path(path), arrays.as_json(attributes)
    if dtype not in ("float16", "float32"):
        raise ValueError(f"maps are stored as 'float16' (with a scale per frame) or 'float32', got {dtype!r}")
    row_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    asked = {"frames": int(frames), "shape": [int(size) for size in shape], "dtype": dtype}
    asked["shard"] = shard or arrays.rows_that_fit(row_bytes, _SHARD_BYTES, least=32, most=512)
    if (path / "zarr.json").exists():
        maps = open_maps(path)
        _refuse_other(maps, attributes, asked if shard else {key: asked[key] for key in ("frames", "shape", "dtype")})
        return maps
    inner = {2: ["y", "x"], 3: ["y", "x", "channel"]}.get(len(shape)) or [f"map_{axis}" for axis in range(len(shape))]
    value = "map * scale" if dtype == "float16" else "map"
    _describe(path / "map", (frames, *shape), dtype, inner, asked["shard"], "NaN", value=value)
    if dtype == "float16":
        _describe(path / "scale", (frames,), "float32", [], asked["shard"], 1.0)
    _describe(path / "done", (frames,), "bool", [], asked["shard"], False)
    # the group comes last: where it is, the arrays are
    arrays.write_metadata(path, arrays.group_metadata(attributes, {"kind": KIND, "version": VERSION, **asked}))
    return Maps(path)


def open_maps(path: str | os.PathLike) -> "Maps":
    """The store of maps at `path`. Raises FileNotFoundError or ValueError if there is none."""
    return Maps(path)


class Maps:
    """Maps of N frames. `maps[i]`, `maps[a:b]`, `maps[[4, 2]]` give float32 raw values, NaN where nothing is written.

    `maps[a:b] = values[b-a *shape]` writes: the data, then `done`. Writes of whole shards (`maps.shard` frames) cost
    least, and are there as a whole or not at all after a kill. Several processes may write to different shards.
    """

    dtype = np.dtype("float32")

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.attributes, ours = arrays.read_group(self.path, KIND, VERSION)
        self.shape: tuple[int, ...] = (ours["frames"], *ours["shape"])
        self.shard: int = ours["shard"]
        self.stored_dtype: str = ours["dtype"]
        names = ["map", "done"] + ["scale"] * (self.stored_dtype == "float16")
        folders = {name: self.path / name for name in names}
        self._stored = {name: arrays.open_array(at, arrays.read_metadata(at)) for name, at in folders.items()}

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Maps({str(self.path)!r}, shape={self.shape}, stored as {self.stored_dtype})"

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    @property
    def done(self) -> np.ndarray:
        """bool [N]: which frames have their map on disk, read anew at each access."""
        return np.asarray(self._stored["done"].read().result())

    def __getitem__(self, index) -> np.ndarray:
        return arrays.read_rows(index, len(self), self._read)

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        parts = [self._stored[name][rows].read() for name in ("map", "scale") if name in self._stored]
        values = np.asarray(parts[0].result())
        if len(parts) == 1:
            return values
        scale = np.asarray(parts[1].result()).reshape(-1, *[1] * (values.ndim - 1))
        with np.errstate(invalid="ignore"):  # a map may hold infinities and NaN: they are kept
            values = values.astype(np.float32)
            values *= scale
        return values

    def __setitem__(self, index: int | slice, values: Any) -> None:
        rows = self._rows(index)
        values = np.asarray(values, np.float32)
        values = values if isinstance(index, slice) else values[None]
        expected = (rows.stop - rows.start, *self.shape[1:])
        if values.shape != expected:
            raise ValueError(f"maps[{rows.start}:{rows.stop}] expects values of shape {expected}, got {values.shape}")
        if not len(values):
            return
        if np.asarray(self._stored["done"][rows].read().result()).any():
            # written before: a kill in the middle must not leave old and new mixed, and called done
            self._stored["done"][rows].write(np.zeros(expected[0], bool)).result()
        writes = {"map": values}
        if "scale" in self._stored:
            writes["map"], writes["scale"] = scaled_float16(values)
        for pending in [self._stored[name][rows].write(part) for name, part in writes.items()]:
            pending.result()
        self._stored["done"][rows].write(np.ones(expected[0], bool)).result()

    def _rows(self, index: int | slice) -> slice:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return slice(start, max(start, stop))
        elif isinstance(index, int | np.integer):
            if -len(self) <= index < len(self):
                return slice(int(index) % len(self), int(index) % len(self) + 1)
            raise IndexError(f"frame {index} is out of range: there are {len(self)} maps")
        raise IndexError(f"maps are written by maps[i] = map or maps[a:b] = maps (step 1), got index {index!r}")


def scaled_float16(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 [n ...] as (float16 [n ...], scale float32 [n]) with values = float16 * scale; NaN and inf stay."""
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
        return halves.reshape(values.shape), np.ldexp(np.float32(1), power).astype(np.float32)


def _describe(
    folder: Path, shape: tuple[int, ...], dtype: str, inner: list[str], shard: int, fill: Any, **attributes: str
) -> None:
    metadata = arrays.array_metadata(shape, dtype, ["frame", *inner], shard, fill)
    arrays.write_metadata(folder, {**metadata, "attributes": attributes})


def _refuse_other(maps: Maps, attributes: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raises if the store that is there is not the one that is asked for."""
    there = {"frames": len(maps), "shape": list(maps.shape[1:]), "dtype": maps.stored_dtype, "shard": maps.shard}
    pairs = {key: (there[key], asked[key]) for key in asked}
    for key in {**maps.attributes, **attributes}:
        pairs[f"attributes[{key!r}]"] = (maps.attributes.get(key, "nothing"), attributes.get(key, "nothing"))
    different = [f"{key} is {old!r} there and {new!r} here" for key, (old, new) in pairs.items() if old != new]
    if different:
        fix = "To replace them, delete that folder; to keep both, choose another name"
        raise ValueError(f"{maps.path} holds other maps: {'; '.join(different)}. {fix}")
