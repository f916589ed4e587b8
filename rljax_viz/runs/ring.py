"""A replay memory on disk: what is new at a checkpoint is written beside it, never the whole again."""

import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class Ring:
    """`replay/` of a run: the newest rows of a memory, in files that are longer than it by one checkpoint interval.

    A kill while rows are written so never costs rows of the checkpoint before. Row r lies at place r % length of each
    file. The last row of a checkpoint is written again at the next one, since it says whether the games were cut there.
    """

    def __init__(self, run: Path, replay: Any, rows_per_interval: int, seeds: int):
        """`replay` gives shapes ([slots ...], of several seeds [S slots ...]) and may be abstract."""
        self._folder, self._axis = run / "replay", int(seeds > 1)
        self._fields = [name for name in replay._fields if name != "count"]
        self._slots = replay.ended.shape[self._axis]
        self._length = self._slots + rows_per_interval + 1
        self._shapes = {name: getattr(replay, name) for name in self._fields}

    def _file(self, name: str, write: bool) -> np.memmap:
        like, path = self._shapes[name], self._folder / f"{name}.bin"
        shape = (self._length, *like.shape[: self._axis], *like.shape[self._axis + 1 :])
        if write and not path.exists():
            return np.memmap(path, like.dtype, "w+", shape=shape)
        return np.memmap(path, like.dtype, "r+" if write else "r", shape=shape)

    def save(self, update: int, replay: Any) -> None:
        """Writes what came since the last call, then says so."""
        self._folder.mkdir(parents=True, exist_ok=True)
        count, before = int(np.max(replay.count)), self._counts()
        known = max((c for u, c in before.items() if u < update), default=0)
        first = max(0, min(known - 1, count), count - self._slots)
        rows = np.arange(first, count)
        for name in self._fields:
            values = np.moveaxis(np.asarray(getattr(replay, name)), self._axis, 0)
            file = self._file(name, write=True)
            file[rows % self._length] = values[rows % self._slots]
            file.flush()
            del file
        self._tell({u: c for u, c in before.items() if u < update and c > count - self._length} | {update: count})

    def restore(self, update: int, replay: Any) -> Any:
        """`replay` with the rows that were in memory at `update`. Raises FileNotFoundError where they are not on disk."""
        counts = self._counts()
        if update not in counts:
            raise FileNotFoundError(
                f"{self._folder} does not hold the replay memory of update {update} (it has {sorted(counts)}): "
                "train anew, or resume from one of those"
            )
        count = counts[update]
        rows = np.arange(max(0, count - self._slots), count)
        found = {}
        for name in self._fields:
            like = getattr(replay, name)
            values = np.zeros(like.shape, like.dtype)
            np.moveaxis(values, self._axis, 0)[rows % self._slots] = self._file(name, write=False)[rows % self._length]
            found[name] = jnp.asarray(values)
        return replay._replace(**found, count=jnp.full(replay.count.shape, count, jnp.int32))

    def _counts(self) -> dict[int, int]:
        path = self._folder / "rows.json"
        return {int(u): c for u, c in json.loads(path.read_text()).items()} if path.exists() else {}

    def _tell(self, counts: dict[int, int]) -> None:
        path = self._folder / "rows.json.new"
        path.write_text(json.dumps(counts))
        with path.open() as file:
            os.fsync(file.fileno())
        path.replace(self._folder / "rows.json")


def make_ring(run: Path, state: Any, field: str | None, rows_per_interval: int, seeds: int) -> Ring | None:
    """The ring of the memory `state.<field>`; None where the algorithm has no memory."""
    return None if field is None else Ring(run, jax.eval_shape(lambda: getattr(state, field)), rows_per_interval, seeds)
