"""A brick beside a known way: where it may lie, that nothing else changes, and (long) the whole experiment."""

import jax
import numpy as np
import pytest

from experiments.idqn import memorised
from experiments.scale import begin
from rljax_viz import envs


def test_bricks_lie_beside_the_way_and_never_on_it():
    ball, bricks = np.zeros((3, 10, 10), bool), np.zeros((10, 10), bool)
    for t in range(3):
        ball[t, 4 + t, 4 + t] = True
    bricks[5, 7] = True
    cells = memorised.beside(ball, bricks)
    assert (5, 7) not in cells and (4, 2) in cells and (6, 8) in cells
    way = [(4, 4), (5, 5), (6, 6)]
    for r, c in cells:
        assert 4 <= r <= 7
        assert all((r, c) != (a, b) and not (abs(r - a) == 1 and abs(c - b) == 1) for a, b in way)


def test_games_begin_alike_but_for_the_brick():
    env = envs.make(memorised.GAME, 3)
    state, timestep = memorised.begin_alike(env, [None, (5, 2), None], 0)
    obs = np.asarray(timestep.obs)
    np.testing.assert_array_equal(obs[0], obs[2])
    assert np.argwhere(obs[1] != obs[0]).tolist() == [[5, 2, memorised.BRICKS]]
    _, moved = jax.jit(env.step)(state, np.zeros(3, np.int32))
    moved = np.asarray(moved.obs)
    assert moved[1, 5, 2, memorised.BRICKS] == 255
    np.testing.assert_array_equal(moved[0], moved[2])


def test_actions_are_alike_by_chance_as_often_as_they_occur():
    assert memorised.by_chance(np.array([0, 0, 1, 1]), np.array([0, 2])) == 0.25
    games = {"action": np.array([[0, 1], [2, 0]]), "alive": np.array([[True, True], [True, False]])}
    assert [x.tolist() for x in memorised.played(games)] == [[0, 2], [1]]


@pytest.mark.long
@pytest.mark.parametrize("games", ["minatar", "atari"])
def test_the_experiment_runs(tmp_path, games):
    begin(memorised.main, tmp_path / "memorised", "smoke", "command", games, tiny=True)
    assert "beyond this scale" in (tmp_path / "memorised" / "report.md").read_text()
