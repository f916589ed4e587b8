"""Windows of past rows against a loop over a list."""

import numpy as np
import pytest

from rljax_viz.store import Windows

STARTS = (0, 7, 8, 20)
N = 23


def by_hand(column, past):
    windows, firsts, missing = [], [], []
    for row in range(len(column)):
        start = max(s for s in STARTS if s <= row)
        there = list(range(max(start, row - past), row + 1))
        blank = past + 1 - len(there)
        windows.append(np.concatenate([np.zeros((blank, *column.shape[1:]), column.dtype), column[there]]))
        firsts.append(column[there[0]])
        missing.append(blank)
    return np.stack(windows), np.stack(firsts), np.array(missing)


@pytest.mark.parametrize("past", [0, 1, 4, 30])
def test_against_a_loop(past):
    column = np.random.default_rng(0).integers(1, 256, (N, 3, 2), dtype=np.uint8)
    windows = Windows(np.array(STARTS), past)
    want, firsts, missing = by_hand(column, past)
    for array, expected in ((windows.of(column), want), (windows.before(column), firsts), (windows.missing(N), missing)):
        assert array.shape == expected.shape and len(array) == N and array.ndim == expected.ndim
        np.testing.assert_array_equal(np.asarray(array), expected)
        assert array[2:5].dtype == array.dtype
        for index in (0, -1, slice(5, 12), slice(None, None, -3), [9, 0, 22, 9], np.arange(N) % 5 == 0, [], slice(9, 2)):
            np.testing.assert_array_equal(array[index], expected[index])


def test_each_row_is_read_once_and_no_more():
    class Counting:
        shape, dtype, reads = (1000, 2), np.dtype("uint8"), 0

        def __getitem__(self, rows):
            rows = np.arange(1000)[rows]
            self.reads += len(rows)
            return np.zeros((len(rows), 2), np.uint8)

    column = Counting()
    window = Windows(np.array([0]), 9).of(column)
    window[100:132]
    assert column.reads == 32 + 9
    column.reads = 0
    window[[50, 900]]
    assert column.reads == 20


def test_refusals():
    for starts, past in (([0], -1), ([], 1), ([3], 1)):
        with pytest.raises(ValueError, match="the first episode starts at row 0"):
            Windows(np.array(starts), past)
