"""i-DQN's experiments: their small pieces, and (long) the tiniest setting of every figure and table."""

import numpy as np
import pytest

from experiments.idqn import adversarial, attention, keys, table1, table2
from experiments.idqn.agents import Seen
from experiments.scale import begin


def test_the_favourite_key_is_that_of_the_actions_taken():
    weights = np.zeros((3, 2, 4))
    weights[:, 1, 2] = 1.0
    weights[:, 0, 3] = 1.0
    assert keys.favourite({"weights": weights}, Seen(np.zeros(3), np.array([1, 1, 0]))) == 2


def test_one_brick_is_added_far_from_the_ball_and_nothing_else():
    obs = np.zeros((50, 10, 10, 4), np.uint8)
    for k in range(50):
        obs[k, 5, k % 10, adversarial.BALL] = obs[k, 4, (k + 1) % 10, adversarial.BALL + 1] = 255
    changed = adversarial.added_brick(obs)
    added = np.argwhere(changed != obs)
    assert added[:, 0].tolist() == list(range(50)) and (added[:, 3] == adversarial.BRICKS).all()
    assert added[:, 1].min() >= 4 and added[:, 1].max() <= 7 and (np.abs(added[:, 2] - np.arange(50) % 10) >= 3).all()


def test_a_key_is_compared_with_states_of_its_own_action_and_with_all_others():
    embedding, action = np.array([[1.0, 0], [3, 0], [0, 2]]), np.array([0, 0, 1])
    found = keys.similarity(embedding, action, np.array([[1.0, 0], [0, 1], [5, 5]]))
    assert found == {"own": (2.0 + 2.0) / 2, "others": 0.0}  # no state takes the third action
    assert keys.similarity(embedding, np.zeros(3, int), np.eye(3, 2)) == {"own": None, "others": None}


def test_states_that_lie_beside_those_of_the_same_action():
    embedding = np.concatenate([np.random.default_rng(0).normal(size=(20, 3)) + 50 * k for k in (0, 1)])
    halves = np.repeat([0, 1], 20)
    assert keys.beside_alike(embedding, halves) == (1.0, 0.5)
    mixed, chance = keys.beside_alike(embedding, np.tile([0, 1], 20))
    assert chance == 0.5 and 0.3 < mixed < 0.6


def test_weights_are_judged_where_scores_are_apart():
    score = {name: {"score": [10.0]} for name in attention.WEIGHTS}
    score |= {"reconstruction 5": {"score": [5.0]}, "both 10": {"score": [15.0]}, "Bellman 10": {"score": [9.0]}}
    told = [claim.verdict for claim in attention.sensitivity(score)]
    assert told == ["beyond this scale", "reproduced", "not reproduced", "beyond this scale", "reproduced"]
    score["exploration 0.1"] = {"score": [4.0]}
    assert attention.sensitivity(score)[-1].verdict == "not reproduced"
    score["exploration 0.1"] = {"score": [float("nan")]}
    assert attention.sensitivity(score)[-1].verdict == "beyond this scale"


def test_the_surest_states_are_of_different_keys():
    weight = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert keys.surest(weight, Seen(np.zeros(4), np.array([0, 0, 0, 1]))) == [0, 2, 3]


def test_what_agrees_is_told_beside_what_would_by_chance():
    images = np.zeros((2, 2, 1, 2, 1), np.float32)
    images[0, 1, 0, 0] = images[1, 1, 0, 1] = 1  # the key of value 1 of each action: a dot at the left, at the right
    states = np.array([[[[1.0], [0]]], [[[0], [1.0]]], [[[1.0], [0]]], [[[1.0], [0]]]], np.float32)
    same, chance = table2.agreed(states, np.array([0, 1, 0, 1]), images, np.array([0.0, 1.0], np.float32))
    assert same == 0.75 and chance == 0.75 * 0.5 + 0.25 * 0.5


def test_scores_are_judged_where_they_are_apart():
    assert table1.better([3, 4], [1, 2]) is True and table1.better([1, 2], [3, 4]) is False
    assert table1.better([1, 3], [2, 4]) is None and table1.better([float("nan")], [1.0]) is None
    assert attention.lower([1.0], [2.0]) is True and attention.lower([2.0], [1.0]) is False
    assert attention.lower([1.9], [2.0]) is None and attention.lower([float("nan")], [1.0]) is None
    assert attention.lower([1.7, 1.9], [2.0, 2.1]) is True and attention.lower([1.0, 2.1], [2.0, 3.0]) is None


def test_each_loss_is_judged_against_those_without_it():
    one = lambda score, error=1.0: {"score": [score], "largest": 0.5, "keys": 3, "error": error}  # noqa: E731
    found = {attention.WHOLE: one(9.0), "no reconstruction": one(20.0, 5.0), "diversity and Bellman": one(10.0),
             "no diversity": one(9.0)}  # fmt: skip
    verdicts = {claim.text[:20]: claim.verdict for claim in attention.claims(found)}
    assert verdicts["the distributional e"] == verdicts["without the reconstr"] == "reproduced"


@pytest.mark.long
@pytest.mark.parametrize("games", ["minatar", "atari"])
def test_every_table_and_figure_runs(tmp_path, games):
    for module in (table1, table2, keys, attention, adversarial):
        name = module.__name__.rpartition(".")[2]
        begin(module.main, tmp_path / name, "smoke", "command", games, tiny=True)
        assert "reproduced" in (tmp_path / name / "report.md").read_text()
        for picture in (tmp_path / name).glob("*.png"):
            assert picture.stat().st_size > 1_000
