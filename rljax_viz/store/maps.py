"""Maps of many frames on disk: written in any order, resumed after a kill, float16 at any magnitude."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rljax_viz.store import arrays, codes

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
    axes: Sequence[str] | None = None,
) -> "Maps":
    """A store for one map of `shape` per frame; if it is there already with equal attributes, that one, to go on with.

    On disk: `map[N *shape]`, `done[N]`, and with float16 `scale[N]`: the value is `map * scale`, exact to 2^-11 at any
    magnitude, in the units that `attributes` should say. dtype "uint8" (`scale[N]`, `zero[N]`; the value is
    `(map - zero) * scale`) takes half of that, exact to 1/510 of a map's range; "float32" keeps every bit at twice the
    size (`store/codes.py`). `shard` is the number of frames a file (the default keeps files under 16 MiB): what a kill
    can lose. `axes` names those of a map; by default `y, x` and, for three, `channel`.
    Raises ValueError if the store there has other attributes, frames, shape or dtype, and says which.
    """
    path, attributes = Path(path), arrays.as_json(attributes)
    if dtype not in codes.BESIDE:
        raise ValueError(f"maps are stored as 'float16' or 'uint8' (with a scale per frame) or 'float32', got {dtype!r}")
    row_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    asked = {"frames": int(frames), "shape": [int(size) for size in shape], "dtype": dtype}
    asked["shard"] = shard or arrays.rows_that_fit(row_bytes, _SHARD_BYTES, least=32, most=512)
    if (path / "zarr.json").exists():
        maps = open_maps(path)
        _refuse_other(maps, attributes, asked if shard else {key: asked[key] for key in ("frames", "shape", "dtype")})
        return maps
    inner = {2: ["y", "x"], 3: ["y", "x", "channel"]}.get(len(shape)) or [f"map_{axis}" for axis in range(len(shape))]
    inner = list(axes or inner)
    blank = 0 if dtype == "uint8" else "NaN"
    _describe(path / "map", (frames, *shape), dtype, inner, asked["shard"], blank, value=codes.FORMULA[dtype])
    for name, (kind, fill) in codes.BESIDE[dtype].items():
        _describe(path / name, (frames,), kind, [], asked["shard"], fill)
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
        self.parts = ("map", *codes.BESIDE[self.stored_dtype])
        metadata = {name: arrays.read_metadata(self.path / name) for name in (*self.parts, "done")}
        self._stored = {name: arrays.open_array(self.path / name, one) for name, one in metadata.items()}
        self._strict = {name: arrays.open_array(self.path / name, metadata[name], strict=True) for name in self.parts}

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
        """bool [N]: which frames have their map on disk, read anew at each access; not those whose marker is damaged."""
        try:
            return self._done(slice(0, len(self)))
        except arrays.DamagedStore:
            return np.concatenate([self.done_in(rows) for rows in self.shards()])

    def shards(self) -> list[slice]:
        """The rows of each file."""
        return [slice(at, min(at + self.shard, len(self))) for at in range(0, len(self), self.shard)]

    def done_in(self, rows: slice) -> np.ndarray:
        """`done[rows]`, and no more is read."""
        try:
            return self._done(rows)
        except arrays.DamagedStore:
            return np.zeros(rows.stop - rows.start, bool)

    def _done(self, rows: slice | np.ndarray) -> np.ndarray:
        return arrays.read_array(self._stored["done"], rows, self.path / "done")

    def __getitem__(self, index) -> np.ndarray:
        return arrays.read_rows(index, len(self), self._read)

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        # what is done must be there; what is not reads as NaN
        stored = self._strict if self._done(rows).all() else self._stored
        return codes.decode({name: arrays.read_array(stored[name], rows, self.path / name) for name in self.parts})

    def __setitem__(self, index: int | slice, values: Any) -> None:
        rows = self._rows(index)
        values = np.asarray(values, np.float32)
        values = values if isinstance(index, slice) else values[None]
        expected = (rows.stop - rows.start, *self.shape[1:])
        if values.shape != expected:
            raise ValueError(f"maps[{rows.start}:{rows.stop}] expects values of shape {expected}, got {values.shape}")
        if len(values):
            self.write(rows, codes.encode(values, self.stored_dtype)[0])

    def write(self, rows: slice, stored: Mapping[str, np.ndarray]) -> None:
        """Maps [start, stop) as `codes.encode` gives them, for callers that encode where they compute: data, then `done`.

        Raises OSError with the fix where the disk does not take them.
        """
        try:
            if self.done_in(rows).any():
                # written before: a kill in the middle must not leave old and new mixed, and called done
                self.forget(rows)
            for pending in [self._stored[name][rows].write(stored[name]) for name in self.parts]:
                pending.result()
            self._stored["done"][rows].write(np.ones(rows.stop - rows.start, bool)).result()
        except arrays.DamagedStore:
            raise
        except ValueError as error:  # tensorstore's word for what the file system says
            if "Error reading" in str(error):  # a file that is written to in part is read first
                raise arrays.DamagedStore(
                    f"{self.path}: maps {rows.start} to {rows.stop - 1} stand in a damaged file "
                    f"({str(error).split(' [')[0]}). Throw it away: rljax-viz verify RUN --mend, or explain --verify; the "
                    "same command then makes its maps again"
                ) from None
            raise OSError(
                f"{self.path}: maps {rows.start} to {rows.stop - 1} could not be written: {str(error).split(' [')[0]}. What "
                "was finished before stays: make room, and run the same command again"
            ) from None

    def lost(self) -> list[Path]:
        """Files that must be there, by the maps that are marked as done, and are not; their contents are not read."""
        done, inner = self.done, ".0" * (len(self.shape) - 1)
        return [
            path for number, rows in enumerate(self.shards()) if done[rows].any()
            for part in self.parts
            if not (path := self.path / part / f"c.{number}{inner if part == 'map' else ''}").exists()
        ]  # fmt: skip

    def forget(self, rows: slice) -> None:
        """Marks maps [start, stop) as not done, so that they are computed again."""
        self._stored["done"][rows].write(np.zeros(rows.stop - rows.start, bool)).result()

    def discard(self, shard: int) -> None:
        """Throws away the files of one shard, damaged or not; its maps are not done any more."""
        inner = ".0" * (len(self.shape) - 1)
        names = [f"done/c.{shard}", *(f"{part}/c.{shard}{inner if part == 'map' else ''}" for part in self.parts)]
        for name in names:  # the marker goes first
            (self.path / name).unlink(missing_ok=True)

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


def _describe(
    folder: Path, shape: tuple[int, ...], dtype: str, inner: list[str], shard: int, fill: Any, **attributes: str
) -> None:
    metadata = arrays.array_metadata(shape, dtype, ["frame", *inner], shard, fill, 1 if dtype in ("uint8", "bool") else None)
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
