"""Stacked observations from single frames: each frame is stored once, stacks are gathered on read."""

from typing import Literal

import numpy as np

from rljax_viz.store.arrays import StoredArray, read_rows

Padding = Literal["repeat", "zeros"]
PADDINGS: tuple[Padding, ...] = ("repeat", "zeros")


class Observations:
    """What the agent saw at each row: array-like uint8 [N H W c*stack], the newest frame LAST.

    `frames` is [N H W c]; `starts` are the rows at which the stack was refilled, in order. Before a start the stack
    holds copies of the start's frame (`repeat`) or zeros (`zeros`). A slice reads each single frame once, in one
    contiguous read.
    Mnih et al. 2015 (stacks of 4); OpenAI Baselines pads with zeros.
    """

    def __init__(self, frames: StoredArray | np.ndarray, starts: np.ndarray, stack: int, padding: Padding):
        self._frames, self._starts, self._stack, self._padding = frames, np.asarray(starts, np.int64), stack, padding
        self.shape: tuple[int, ...] = (*frames.shape[:-1], frames.shape[-1] * stack)
        self.dtype = frames.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Observations(shape={self.shape}, dtype={self.dtype}, stack={self._stack}, padding={self._padding!r})"

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, index) -> np.ndarray:
        return read_rows(index, len(self), self._read)

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        numbers = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        if not len(numbers):
            return np.empty((0, *self.shape[1:]), self.dtype)
        if self._stack == 1:
            return self._frames[rows]
        start = self._starts[np.searchsorted(self._starts, numbers, side="right") - 1]
        wanted = numbers[:, None] - np.arange(self._stack - 1, -1, -1)  # oldest first
        before = wanted < start[:, None]
        wanted = np.maximum(wanted, start[:, None])
        if isinstance(rows, slice):
            found, place = self._frames[wanted[0, 0] : rows.stop], wanted - wanted[0, 0]
        else:
            unique, place = np.unique(wanted, return_inverse=True)
            found, place = self._frames[unique], place.reshape(wanted.shape)
        return _gather(found, place, before if self._padding == "zeros" else None, self.shape[1:])


def _gather(frames: np.ndarray, place: np.ndarray, blank: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Frames [M H W c] at `place` [n stack] -> [n H W stack*c]; zeros where `blank`."""
    channels, count = frames.shape[-1], len(place)
    stacked = np.empty((count, *shape), frames.dtype)
    for position in range(place.shape[1]):
        rows = place[:, position]
        whole = (np.diff(rows) == 1).all()  # neighbours, as they mostly are, need no copy in between
        seen = frames[rows[0] : rows[0] + count] if whole else frames[rows]
        stacked[..., position * channels : (position + 1) * channels] = seen
        if blank is not None:
            stacked[blank[:, position], ..., position * channels : (position + 1) * channels] = 0
    return stacked


def start_rows(stack_start: StoredArray, block: int = 1 << 16) -> np.ndarray:
    """The rows where `stack_start` is true, read a block at a time: memory goes with the episodes, not with N."""
    parts = [a + np.flatnonzero(stack_start[a : a + block]) for a in range(0, len(stack_start), block)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def change_rows(column: StoredArray, block: int = 1 << 16) -> np.ndarray:
    """Row 0 and the rows where `column` differs from the row before."""
    parts = [np.zeros(min(1, len(column)), np.int64)]
    for a in range(0, len(column), block):
        values = column[a : a + block + 1]  # one more: a change may sit on the border of two blocks
        parts.append(a + 1 + np.flatnonzero(values[1:] != values[:-1]))
    return np.concatenate(parts)
