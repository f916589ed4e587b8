"""Which steps of a long recording to show: those around what happened."""

import numpy as np


def choose_steps(events: np.ndarray, limit: int, before: int = 3, after: int = 1) -> np.ndarray:
    """At most `limit` rows out of `events[N]` (bool: a reward, a lost life, an end), in order.

    Windows around the events grow together, `before` rows back for every `after` rows on, as far as `limit` allows; with
    no event, or with room for all, the first `limit` rows. More events than `limit`: evenly spread ones.
    """
    count = len(events)
    if count <= limit:
        return np.arange(count)
    rows = np.flatnonzero(events)
    if not len(rows):
        return np.arange(limit)
    if len(rows) >= limit:
        return rows[np.linspace(0, len(rows) - 1, limit).round().astype(int)]

    def within(width: int) -> np.ndarray:
        change = np.zeros(count + 1, int)
        np.add.at(change, np.maximum(rows - before * width, 0), 1)
        np.add.at(change, np.minimum(rows + after * width + 1, count), -1)
        return np.flatnonzero(np.cumsum(change[:-1]) > 0)

    low, high = 0, count
    while low < high:  # the widest windows that fit
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(within(middle)) <= limit else (low, middle - 1)
    return within(low)
