"""Reads a store from end to end: is everything there, and as it was written?"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rljax_viz.store import arrays
from rljax_viz.store.arrays import DamagedStore, StoredArray
from rljax_viz.store.episodes import Episodes
from rljax_viz.store.maps import KIND, VERSION, open_maps


class Fault(NamedTuple):
    """Rows [start, stop) of one array that cannot be read, and why; no rows where the array itself is not there."""

    array: str
    start: int
    stop: int
    why: str

    def __str__(self) -> str:
        rows = f", rows {self.start} to {self.stop - 1}" if self.stop > self.start else ""
        return f"{self.array}{rows}: {self.why}"


class Report(NamedTuple):
    """`written` of `rows` rows are there; `faults` of them are damaged; `not_finite` maps hold NaN or infinity, of which
    `first_not_finite` is the first row (-1: none).

    `notes` say what is no damage, and should be known.
    """

    path: Path
    rows: int
    written: int
    faults: list[Fault]
    not_finite: int = 0
    first_not_finite: int = -1
    notes: tuple[str, ...] = ()

    @property
    def damaged(self) -> np.ndarray:
        """bool [rows]: which rows any fault touches."""
        rows = np.zeros(self.rows, bool)
        for fault in self.faults:
            rows[fault.start : fault.stop] = True
        return rows


def verify(path: str | os.PathLike, watch: Callable[[int, int], None] = lambda done, all: None) -> Report:
    """Every checksum of the episodes or maps at `path`, a file at a time; `watch(rows, all rows)`.

    Finds files that are missing, cut off or changed; of maps, only those that are marked as done are asked for. A store
    that cannot be opened for what it has lost is a report of no rows and one fault.
    Raises FileNotFoundError or ValueError if there is no store of ours.
    """
    path = Path(path)
    try:
        return (_verify_maps if _are_maps(path) else _verify_episodes)(path, watch)
    except (FileNotFoundError, DamagedStore) as error:
        if not any(path.glob("*/zarr.json")):
            raise
        return Report(path, 0, 0, [Fault("store", 0, 0, str(error))])


def _are_maps(path: Path) -> bool:
    """By what the store says of itself; where it cannot, by its arrays."""
    try:
        arrays.read_group(path, KIND, VERSION)
    except (FileNotFoundError, DamagedStore):
        return (path / "map").exists() and not (path / "frames").exists()
    except ValueError:
        return False
    return True


def _verify_episodes(path: Path, watch: Callable[[int, int], None]) -> Report:
    episodes = Episodes(path)
    faults = [Fault(name, 0, 0, f"the column was recorded, and is missing: {arrays.AGAIN}") for name in episodes.lost]
    every = [(name, column, at) for name, column in episodes.columns.items() for at in range(0, len(column), column.shard)]
    for number, (name, column, at) in enumerate(every):
        faults += _faults(name, column, np.arange(at, min(at + column.shard, len(column))))
        watch((number + 1) * len(episodes) // len(every), len(episodes))
    return Report(path, len(episodes), len(episodes), faults, notes=_notes(episodes))


def _notes(episodes: Episodes) -> tuple[str, ...]:
    notes = []
    if not episodes.complete:
        notes.append("it is not finished: still being recorded, or broken off; the rows that it has can be explained")
    if "preset" not in episodes.attributes:
        notes.append(
            "it has no attribute `preset`, so nobody checks that an agent is shown its own game and view: take it in anew by "
            "`rljax-viz import SOURCE RUN --env GAME`, or give `preset` to create_episodes(attributes=...)"
        )
    return tuple(notes)


def _verify_maps(path: Path, watch: Callable[[int, int], None]) -> Report:
    maps, faults, not_finite = open_maps(path), [], []
    columns = {name: StoredArray(path / name, strict=True) for name in maps.parts}
    marks = StoredArray(path / "done")
    done = maps.done
    for rows in maps.shards():
        faults += _faults("done", marks, np.arange(rows.start, rows.stop))
        written = rows.start + np.flatnonzero(done[rows])
        if len(written):
            found = [fault for name, column in columns.items() for fault in _faults(name, column, written)]
            if not found:
                values = maps[written].reshape(len(written), -1)
                not_finite += written[~np.isfinite(values).all(axis=1)].tolist()
            faults += found
        watch(rows.stop, len(maps))
    return Report(path, len(maps), int(done.sum()), faults, len(not_finite), min(not_finite, default=-1))


def _faults(name: str, column: StoredArray, rows: np.ndarray) -> list[Fault]:
    """At most one fault: a file is read as a whole."""
    try:
        column[rows]
    except DamagedStore as error:
        return [Fault(name, int(rows[0]), int(rows[-1]) + 1, str(error).split("cannot be read: ")[-1])]
    return []
