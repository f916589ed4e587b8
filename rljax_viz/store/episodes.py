"""Reading `episodes.zarr`: single frames, every recorded column, and the stacks that the agent saw."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rljax_viz.store import arrays
from rljax_viz.store.arrays import DamagedStore, StoredArray
from rljax_viz.store.observations import Observations, Padding, change_rows, start_rows
from rljax_viz.store.record import KIND, VERSION


class Episode(NamedTuple):
    """Rows [start, stop) of a store.

    `episode_return` is the sum of `reward` as recorded, NaN without that column; `ended` says whether its last row is
    terminated or truncated: False if the recording stopped before, None without those columns.
    """

    id: int
    start: int
    stop: int
    episode_return: float
    length: int
    ended: bool | None


class Episodes:
    """A store of recorded steps: `episodes.frames[3]`, `episodes.action[10:20]`, `episodes.observations[i]`.

    Columns are read when they are indexed, never before: frames[N H W c] uint8 is the single frame of each row,
    observations[N H W c*stack] uint8 its stack, the newest last. A store that is being written, or was cut off, shows
    whole shards.
    Raises FileNotFoundError or ValueError if there is no such store at `path`; DamagedStore, which is a ValueError, if
    `frames` or `stack_start` is missing, or columns of a finished store differ in length.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.attributes, ours = arrays.read_group(self.path, KIND, VERSION)
        self.stack: int = ours["stack"]
        self.padding: Padding = ours["padding"]
        self.complete: bool = ours["complete"]
        folders = sorted(entry.parent for entry in self.path.glob("*/zarr.json"))
        names = {folder.name for folder in folders}
        if missing := sorted({"frames", "stack_start"} - names):
            raise DamagedStore(f"{self.path} has lost its column {' and '.join(missing)}: {arrays.AGAIN}")
        #: columns that were written and are not there any more
        self.lost: list[str] = sorted(set(ours.get("columns", ())) - names)
        # a writer lengthens one column after another, when all data are on disk: the shortest says what all have
        lengths = {folder.name: arrays.read_metadata(folder)["shape"][0] for folder in folders}
        length = min(lengths.values())
        if self.complete and max(lengths.values()) > length:
            few = ", ".join(f"{name} {rows}" for name, rows in sorted(lengths.items()) if rows < max(lengths.values()))
            raise DamagedStore(
                f"{self.path} was finished with {max(lengths.values())} rows, but some columns have fewer ({few}): put those "
                "columns back, or record anew"
            )
        strict = ours["version"] > 1
        self.columns: dict[str, StoredArray] = {at.name: StoredArray(at, length, strict) for at in folders}

    def __len__(self) -> int:
        return len(self.columns["frames"])

    def __repr__(self) -> str:
        return f"Episodes({str(self.path)!r}, rows={len(self)}, columns={list(self.columns)}, complete={self.complete})"

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> StoredArray:
        try:
            return self.columns[name]
        except KeyError:
            raise KeyError(f"{self.path} has no column {name!r}; it has {sorted(self.columns)}") from None

    def __getattr__(self, name: str) -> StoredArray:
        columns = self.__dict__.get("columns", {})  # self.columns would come back here before __init__ is through
        if name in columns:
            return columns[name]
        raise AttributeError(f"Episodes has no attribute or column {name!r}; columns are {sorted(columns)}")

    @cached_property
    def observations(self) -> Observations:
        """What the agent saw at each row: array-like uint8 [N H W c*stack], gathered on read, the newest frame last."""
        return Observations(self.columns["frames"], start_rows(self.columns["stack_start"]), self.stack, self.padding)

    @cached_property
    def episodes(self) -> list[Episode]:
        """The episodes in order: by the column `episode`, or else by `stack_start`, numbered 0, 1, ..."""
        ids = self.columns.get("episode")
        starts = start_rows(self.columns["stack_start"]) if ids is None else change_rows(ids)
        stops = [*starts[1:], len(self)][: len(starts)]
        return [
            self._episode(number if ids is None else int(ids[int(a)]), int(a), int(b))
            for number, (a, b) in enumerate(zip(starts, stops, strict=True))
        ]

    def _episode(self, number: int, start: int, stop: int) -> Episode:
        rewards: Any = self.columns["reward"][start:stop] if "reward" in self else np.nan
        ends = [name for name in ("terminated", "truncated") if name in self]
        ended = any(bool(self.columns[name][stop - 1]) for name in ends) if ends else None
        return Episode(number, start, stop, float(np.sum(rewards, dtype=np.float64)), stop - start, ended)
