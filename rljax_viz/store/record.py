"""Writing `episodes.zarr`: rows are buffered to whole shards, and made visible after their data are on disk."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from rljax_viz.store import arrays
from rljax_viz.store.observations import PADDINGS, Padding

VERSION = 2  # 2: every row has a file, so that a missing one is an error; each chunk has its checksum
KIND = "episodes"
Columns = Mapping[str, tuple[tuple[int, ...], str]]
_BLOCK_BYTES = 64 << 20  # what is buffered, all columns together
_AHEAD = 1 << 40  # rows the writer may use; readers see the length in zarr.json
# names that `Episodes` uses itself
_RESERVED = ("attributes", "columns", "complete", "episodes", "lost", "observations", "padding", "path", "stack")


def create_episodes(
    path: str | os.PathLike,
    *,
    frame_shape: tuple[int, int, int],
    stack: int,
    padding: Padding,
    attributes: Mapping[str, Any],
    columns: Columns,
    overwrite: bool = False,
) -> "EpisodeWriter":
    """A new store of recorded steps; `append` blocks to it and `close` it (or use `with`).

    frame_shape is (H, W, c) of ONE frame, uint8; `columns` maps further names to (shape of one row, dtype):
    `{"action": ((), "int32"), "rgb": ((210, 160, 3), "uint8"), "logits": ((6,), "float32")}`. `frames` and
    `stack_start[N] bool` are always there. `attributes` (the preset, the checkpoint's hash, ...) are plain JSON. N
    need not be known. After a kill the store holds whole shards and reads as usual, with `Episodes(path).complete`
    False.
    Raises FileExistsError if a complete store is there (`overwrite=True` deletes it; a broken-off one is replaced);
    ValueError for a wrong shape, dtype, padding or name.
    """
    path = Path(path)
    if len(frame_shape) != 3:
        raise ValueError(f"frame_shape is (H, W, c) of one single frame, got {tuple(frame_shape)}; grey has c = 1")
    if padding not in PADDINGS or stack < 1:
        raise ValueError(f"expected stack >= 1 and padding 'repeat' or 'zeros', got stack={stack}, padding={padding!r}")
    taken = {"frames", "stack_start", *_RESERVED} & set(columns)
    if taken:
        raise ValueError(f"columns {sorted(taken)}: these names are the store's own (frames, stack_start always exist)")
    every = {"frames": (tuple(frame_shape), "uint8"), "stack_start": ((), "bool"), **columns}
    ours = {"kind": KIND, "version": VERSION, "stack": stack, "padding": padding, "columns": sorted(every)}
    plain = arrays.as_json(attributes)
    for _, dtype in every.values():
        arrays.check_dtype(dtype)
    if path.exists():  # last: nothing is deleted for a call that fails
        _make_room(path, overwrite)
    return EpisodeWriter(path, every, plain, ours)


def _make_room(path: Path, overwrite: bool) -> None:
    try:
        complete = arrays.read_group(path, KIND, VERSION)[1]["complete"]
    except (FileNotFoundError, arrays.DamagedStore):
        complete = any(path.glob("*/zarr.json"))  # it lost its own; all its rows may be there
    if complete and not overwrite:
        fix = "pass overwrite=True (on the command line --overwrite) to replace them, or another path"
        raise FileExistsError(f"{path} holds finished episodes: {fix}")
    arrays.remove_store(path)


class EpisodeWriter:
    """Appends rows to a new store. As a context manager, an exception keeps the rows but not `complete`."""

    def __init__(self, path: Path, columns: Columns, attributes: dict[str, Any], ours: dict[str, Any]):
        self.path = path
        self._columns = {name: (tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in columns.items()}
        row_bytes = sum(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize for shape, dtype in self._columns.values())
        self.shard = arrays.rows_that_fit(row_bytes, _BLOCK_BYTES, least=64, most=4096)
        self._attributes, self._ours = attributes, ours
        self._metadata = {name: self._describe(name, shape, dtype) for name, (shape, dtype) in self._columns.items()}
        self._publish(0)
        self._write_group(complete=False)
        ahead = {name: {**meta, "shape": [_AHEAD, *meta["shape"][1:]]} for name, meta in self._metadata.items()}
        self._stored = {name: arrays.open_array(path / name, meta, cached=False) for name, meta in ahead.items()}
        self._buffer = {name: np.empty((self.shard, *shape), dtype) for name, (shape, dtype) in self._columns.items()}
        self._kept, self._filled, self._closed = 0, 0, False
        self._last_episode: Any = None

    def __len__(self) -> int:
        """Rows appended so far; those of a shard that is not full yet are still in memory."""
        return self._kept + self._filled

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, value, trace) -> None:
        self._finish(complete=kind is None)

    def append(self, **columns: Any) -> None:
        """Adds n rows: every column of the store as an array [n ...], in order of time, one episode after another.

        Steps of parallel environments must not be interleaved: stacks are rebuilt from the rows before.
        Raises ValueError for missing or unknown columns, another shape or dtype, values that the dtype cannot hold, or
        an episode that begins without `stack_start`.
        """
        if self._closed:
            raise ValueError(f"{self.path} is closed: open another store with create_episodes")
        rows = self._check(columns)
        count = len(rows["frames"])
        done = 0
        while done < count:
            some = min(count - done, self.shard - self._filled)
            for name, values in rows.items():
                self._buffer[name][self._filled : self._filled + some] = values[done : done + some]
            self._filled += some
            done += some
            if self._filled == self.shard:
                self._flush()

    def close(self) -> None:
        """Writes what is still in memory and marks the store complete. Closing twice does nothing."""
        self._finish(complete=True)

    def _finish(self, complete: bool) -> None:
        if not self._closed:
            self._flush()
            self._closed = True
            if complete:
                self._write_group(complete=True)

    def _flush(self) -> None:
        """Data first, on disk in every column; then the new length."""
        if self._filled:
            stop = self._kept + self._filled
            full = {name: buffer[: self._filled] for name, buffer in self._buffer.items()}
            for write in [self._stored[name][self._kept : stop].write(values) for name, values in full.items()]:
                write.result()
            self._publish(stop)
            self._kept, self._filled = stop, 0

    def _publish(self, length: int) -> None:
        for name, metadata in self._metadata.items():
            metadata["shape"][0] = length
            arrays.write_metadata(self.path / name, metadata)

    def _write_group(self, complete: bool) -> None:
        arrays.write_metadata(self.path, arrays.group_metadata(self._attributes, {**self._ours, "complete": complete}))

    def _describe(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> dict:
        # xarray wants one size per dimension name, so each column names its own; readers of `frames` know y, x, channel
        inner = ["y", "x", "channel"] if name == "frames" else [f"{name}_{axis}" for axis in range(len(shape))]
        fill: Any = False if dtype == np.bool_ else 0
        return arrays.array_metadata((0, *shape), dtype.name, ["frame", *inner], self.shard, fill, level=3)

    def _check(self, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
        if set(columns) != set(self._columns):
            missing, unknown = sorted(set(self._columns) - set(columns)), sorted(set(columns) - set(self._columns))
            raise ValueError(f"append takes every column of the store; missing {missing}, unknown {unknown}")
        rows = {name: self._cast(name, np.asarray(columns[name])) for name in self._columns}
        counts = {name: len(values) for name, values in rows.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"append takes the same number of rows in every column, got {counts}")
        if counts["frames"]:
            self._check_starts(rows["stack_start"], rows.get("episode"))
        return rows

    def _cast(self, name: str, values: np.ndarray) -> np.ndarray:
        shape, dtype = self._columns[name]
        if values.shape[1:] != shape or values.ndim != len(shape) + 1:
            expected = " ".join(["n", *map(str, shape)])
            raise ValueError(f"column {name!r} expects blocks of shape [{expected}], got {list(values.shape)}")
        cast = values.astype(dtype, copy=False) if np.can_cast(values.dtype, dtype, "same_kind") else None
        if cast is None or (dtype.kind in "iu" and cast is not values and not np.array_equal(cast, values)):
            raise ValueError(f"column {name!r} holds {dtype}; {values.dtype} values do not fit: convert them first")
        return cast

    def _check_starts(self, starts: np.ndarray, episode: np.ndarray | None) -> None:
        if len(self) == 0 and not starts[0]:
            raise ValueError("the first row must have stack_start=True: what came before it is not in the store")
        if episode is not None:
            before = np.concatenate([episode[:1] if self._last_episode is None else [self._last_episode], episode[:-1]])
            wrong = np.flatnonzero((episode != before) & ~starts)
            if len(wrong):
                old, new = before[wrong[0]], episode[wrong[0]]
                raise ValueError(
                    f"row {len(self) + wrong[0]}: episode changes from {old} to {new} without stack_start; append one "
                    "episode after another, not the steps of parallel environments interleaved"
                )
            self._last_episode = episode[-1]
