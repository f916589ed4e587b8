"""Windows of past rows: at each row the rows before it, within its episode, gathered on read."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rljax_viz.store.arrays import read_rows


class Gathered:
    """Array-like [N *row] whose rows are read when they are asked for: `read(numbers[n]) -> [n *row]`."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, read: Callable[[np.ndarray], np.ndarray]):
        self.shape, self.dtype, self._read = shape, np.dtype(dtype), read

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, index) -> np.ndarray:
        def read(rows: slice | np.ndarray) -> np.ndarray:
            numbers = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
            return self._read(numbers) if len(numbers) else np.empty((0, *self.shape[1:]), self.dtype)

        return read_rows(index, len(self), read)


class Windows:
    """The window of each of N rows: itself and the `past` rows before it, none of an earlier episode.

    `starts` are the rows at which episodes begin, in order, the first of them 0.
    Raises ValueError for a negative `past`, or starts that do not begin with 0.
    """

    def __init__(self, starts: np.ndarray, past: int):
        self.starts, self.past = np.asarray(starts, np.int64), past
        if past < 0 or not len(self.starts) or self.starts[0] != 0:
            raise ValueError(f"windows look past >= 0 rows back, and the first episode starts at row 0; got {past}, {starts}")

    def first(self, numbers: np.ndarray) -> np.ndarray:
        """The first row of the window of each of `numbers` that is there."""
        start = self.starts[np.searchsorted(self.starts, numbers, side="right") - 1]
        return np.maximum(numbers - self.past, start)

    def of(self, column: Any) -> Gathered:
        """column[N *row] as [N past+1 *row], oldest first, the row itself LAST; zeros for what is not there."""

        def read(numbers: np.ndarray) -> np.ndarray:
            wanted = numbers[:, None] - np.arange(self.past, -1, -1)
            there = wanted >= self.first(numbers)[:, None]
            found, place = _read(column, np.where(there, wanted, numbers[:, None]))
            rows = found[place]
            rows[~there] = 0
            return rows

        return Gathered((column.shape[0], self.past + 1, *column.shape[1:]), column.dtype, read)

    def before(self, column: Any) -> Gathered:
        """column[N *row] at the first row of each window."""

        def read(numbers: np.ndarray) -> np.ndarray:
            found, place = _read(column, self.first(numbers))
            return found[place]

        return Gathered(tuple(column.shape), column.dtype, read)

    def missing(self, count: int) -> Gathered:
        """int32 [N], how many rows at the front of each window are not there."""
        return Gathered((count,), np.int32, lambda n: (self.past - (n - self.first(n))).astype(np.int32))


def _read(column: Any, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `column`, each read once, and where in them those that are `wanted` lie."""
    low, high = int(wanted.min()), int(wanted.max()) + 1
    if high - low <= 2 * wanted.size:  # near each other: one contiguous read
        return np.asarray(column[low:high]), wanted - low
    unique, place = np.unique(wanted, return_inverse=True)
    return np.asarray(column[unique]), place.reshape(wanted.shape)
