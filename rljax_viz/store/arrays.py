"""Zarr v3 arrays in a folder: their metadata and their rows. The only file that speaks to tensorstore.

The first axis of every array is `frame`. Rows are written a shard (one file) at a time, and `zarr.json` is written by
us, atomically, so that a row can be made visible after its data has reached the disk and never before.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

_INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
DTYPES = ("bool", *_INTEGERS, "float16", "float32", "float64")
OURS = "rljax_viz"  # our own entry among the attributes of a group; all others are the user's
_CACHE = ts.Context({"cache_pool": {"total_bytes_limit": 64 << 20}})  # neighbouring rows share a chunk: decode it once
_CHUNK_BYTES = 256 << 10
#: what to do about a store that has lost something, as the end of a sentence
AGAIN = (
    "put it back from a copy, or make the store again: a recording by `rljax-viz play RUN --record --overwrite` or `import`, "
    "maps by deleting their folder and the same explain command"
)


def rows_that_fit(row_bytes: int, limit_bytes: int, least: int, most: int) -> int:
    """The largest power of two of rows that stays under `limit_bytes`, between `least` and `most`."""
    rows = max(1, limit_bytes // max(1, row_bytes))
    return int(np.clip(1 << (rows.bit_length() - 1), least, most))


def check_dtype(dtype: str) -> None:
    """Raises ValueError for the name of a dtype that cannot be stored."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} cannot be stored; expected one of {', '.join(DTYPES)}")


def array_metadata(
    shape: Sequence[int], dtype: str, dimensions: Sequence[str], shard: int, fill: Any = 0, level: int | None = 1
) -> dict:
    """What `zarr.json` of one array says: files of `shard` rows, of chunks of about 256 KiB, zstd and checksum.

    `level` is zstd's, None for no compression: halves of noise shrink by 8 percent and cost twice the time.
    """
    check_dtype(dtype)
    row = [int(size) for size in shape[1:]]
    row_bytes = int(np.prod(row, dtype=np.int64)) * np.dtype(dtype).itemsize
    chunk = rows_that_fit(row_bytes, _CHUNK_BYTES, 1, shard)
    chunk = chunk if shard % chunk == 0 else shard
    endian: dict = {"name": "bytes", "configuration": {"endian": "little"}}
    zstd = [] if level is None else [{"name": "zstd", "configuration": {"level": level, "checksum": False}}]
    codecs: list = [endian, *zstd, {"name": "crc32c"}]
    if chunk < shard:
        inner = {"chunk_shape": [chunk, *row], "codecs": codecs, "index_codecs": [endian, {"name": "crc32c"}]}
        codecs = [{"name": "sharding_indexed", "configuration": {**inner, "index_location": "end"}}]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [int(shape[0]), *row],
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [shard, *row]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},  # one flat folder of shards
        "fill_value": fill,
        "codecs": codecs,
        "attributes": {},
        "dimension_names": list(dimensions),
    }


def group_metadata(attributes: Mapping[str, Any], ours: Mapping[str, Any]) -> dict:
    """What `zarr.json` of the group says: the user's attributes, and ours under one key."""
    return {"zarr_format": 3, "node_type": "group", "attributes": {**attributes, OURS: dict(ours)}}


def as_json(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """`attributes` as JSON gives them back (tuples are lists). Raises TypeError for what JSON cannot hold."""
    if OURS in attributes:
        raise ValueError(f"the attribute {OURS!r} is the store's own; choose another name for yours")
    try:
        return json.loads(json.dumps(dict(attributes)))
    except TypeError as error:
        fix = "for a dataclass pass dataclasses.asdict(it), for a numpy number it.item()"
        raise TypeError(f"attributes must be JSON (str, number, bool, None, list, dict): {error}; {fix}") from error


def write_metadata(folder: Path, metadata: dict) -> None:
    """Writes `zarr.json` of an array or a group; after a kill it is the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".zarr.json.{os.getpid()}"
    with draft.open("w") as file:
        json.dump(metadata, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / "zarr.json")


def read_metadata(folder: Path) -> dict:
    """Raises FileNotFoundError if there is no zarr array or group in `folder`, DamagedStore if its zarr.json is cut off."""
    path = folder / "zarr.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: {AGAIN}") from None
    except ValueError as error:
        raise DamagedStore(f"{path} cannot be read ({error}): {AGAIN}") from None


def read_group(path: Path, kind: str, version: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The attributes of the group at `path`: the user's, and ours. Raises unless it is a store of that kind."""
    try:
        attributes = dict(read_metadata(path)["attributes"])
        ours = attributes.pop(OURS)
    except FileNotFoundError:
        gone = "there is no zarr.json in it" if path.exists() else "there is nothing"
        told = AGAIN if path.parent.exists() else "look at the name; `rljax-viz play RUN --record` makes a recording"
        raise FileNotFoundError(f"no {kind} store at {path}: {gone}; {told}") from None
    except KeyError:
        raise ValueError(f"{path} is a zarr group, but not one that rljax_viz wrote") from None
    if ours["kind"] != kind:
        raise ValueError(f"{path} holds {ours['kind']}, not {kind}")
    if ours["version"] > version:
        raise ValueError(f"{path} has format {ours['version']}, this rljax_viz reads up to {version}: update rljax_viz")
    return attributes, ours


def remove_store(path: Path) -> None:
    """Deletes the store at `path`, and refuses a folder that holds anything else."""
    strangers = [entry.name for entry in path.iterdir() if not (entry / "zarr.json").exists()]
    strangers = sorted(n for n in strangers if n not in ("zarr.json", ".lock") and not n.startswith(".zarr.json."))
    if strangers:
        raise ValueError(f"{path} holds other files ({', '.join(strangers[:3])}): not deleted; give another path")
    trash = path.with_name(f".{path.name}.{os.getpid()}.deleted")  # a half-deleted store must not look like one
    path.rename(trash)
    shutil.rmtree(trash)


class DamagedStore(ValueError):
    """Something that should be on disk is not, or not as it was written; the message names the array, rows and reason."""


def open_array(folder: Path, metadata: dict, cached: bool = True, strict: bool = False) -> ts.TensorStore:
    """The array in `folder` as `metadata` describes it, whatever `zarr.json` says: writers are ahead of it.

    A file that is not there reads as the fill value, or with `strict` as an error.
    """
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{folder.absolute()}/"},
        "metadata": {key: value for key, value in metadata.items() if key != "attributes"},
        "fill_missing_data_reads": not strict,
        "store_data_equal_to_fill_value": True,  # so that a file that is missing was lost
    }
    return ts.open(spec, open=True, assume_metadata=True, context=_CACHE if cached else None).result()


def read_array(array: ts.TensorStore, rows: slice | np.ndarray, folder: Path) -> np.ndarray:
    """`array[rows]`. Raises DamagedStore where the files do not hold it."""
    try:
        return np.asarray(array[rows].read().result())
    except ValueError as error:
        numbers = (rows.start, rows.stop - 1) if isinstance(rows, slice) else (int(rows.min()), int(rows.max()))
        why = str(error).split(" [")[0].replace(f"{folder.absolute()}/", "")
        raise DamagedStore(f"{folder}: rows {numbers[0]} to {numbers[1]} cannot be read: {why}") from None


class StoredArray:
    """One array on disk, read like numpy: `array[3]`, `array[10:20]`, `array[[5, 1]]`, `array[2:4, :, 0]`.

    The index of the first axis decides what is read; the others are applied in memory. With `strict` every row must be
    there. Raises DamagedStore (a ValueError) where the files are not what was written.
    """

    def __init__(self, folder: str | os.PathLike, length: int | None = None, strict: bool = False):
        self.folder = Path(folder)
        metadata = read_metadata(self.folder)
        if length is not None:
            metadata["shape"][0] = length
        self._rows = open_array(self.folder, metadata, strict=strict)
        self.shard: int = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        self.shape: tuple[int, ...] = tuple(metadata["shape"])
        self.dtype = np.dtype(metadata["data_type"])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, index) -> np.ndarray:
        return read_rows(index, len(self), self._read)

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        return read_array(self._rows, rows, self.folder)


def read_rows(index, length: int, read) -> np.ndarray:
    """numpy's indexing on top of `read(rows)`, where `rows` is a slice of step 1 or a vector of row numbers."""
    lead, rest = (index[0], index[1:]) if isinstance(index, tuple) and index else (index, ())
    if not all(isinstance(item, int | np.integer | slice) or item is Ellipsis for item in rest):
        raise IndexError("only the first index may be an array: index what was read, array[rows][:, more]")
    if lead is Ellipsis or (isinstance(index, tuple) and not index):
        return read(slice(0, length))[index]
    if isinstance(lead, slice):
        start, stop, step = lead.indices(length)
        found, axes = read(slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step)), 1
    else:
        rows = _row_numbers(np.asarray(lead), length)
        found, axes = read(rows.reshape(-1)), rows.ndim
        found = found.reshape(rows.shape + found.shape[1:])
    return found[(slice(None),) * axes + rest] if rest else found


def _row_numbers(numbers: np.ndarray, length: int) -> np.ndarray:
    """Non-negative rows from one number, an array of numbers (any rank), or a mask."""
    if numbers.dtype == bool and numbers.shape == (length,):
        numbers = np.flatnonzero(numbers)
    if numbers.size == 0:
        numbers = numbers.astype(np.int64)
    if numbers.dtype.kind not in "iu":
        what = f"{numbers.dtype}{list(numbers.shape)}"
        raise IndexError(f"rows are chosen by int, slice, integer array or a mask of {length}; got {what}")
    wrong = (numbers < -length) | (numbers >= length)
    if wrong.any():
        raise IndexError(f"row {numbers[wrong].flat[0]} is out of range: there are {length} rows")
    return np.where(numbers < 0, numbers + length, numbers).astype(np.int64)
