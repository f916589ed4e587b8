import numpy as np
import pytest

from rljax_viz.runs import choose_steps


def events(*rows, count=1000):
    out = np.zeros(count, bool)
    out[list(rows)] = True
    return out


def test_short_recordings_are_shown_whole():
    np.testing.assert_array_equal(choose_steps(events(3, count=10), 10), np.arange(10))


def test_windows_reach_back_further_than_on():
    rows = choose_steps(events(500), 41)
    np.testing.assert_array_equal(rows, np.arange(470, 511))


@pytest.mark.parametrize("limit", [1, 7, 60, 600])
def test_never_more_than_asked_for_and_every_event_among_them(limit):
    rng = np.random.default_rng(limit)
    happened = rng.random(5000) < 0.0002 * limit
    rows = choose_steps(happened, limit)
    assert len(rows) <= limit and (np.diff(rows) > 0).all()
    if 0 < happened.sum() <= limit:
        assert np.isin(np.flatnonzero(happened), rows).all()


def test_without_an_event_the_beginning_and_with_too_many_a_spread():
    np.testing.assert_array_equal(choose_steps(events(), 5), np.arange(5))
    rows = choose_steps(np.ones(1000, bool), 5)
    np.testing.assert_array_equal(rows, [0, 250, 500, 749, 999])
