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


def test_one_row_of_bricks_is_added_and_nothing_else():
    obs = np.zeros((2, 10, 10, 4), np.uint8)
    changed = adversarial.added_bricks(obs)
    assert changed.sum() == 2 * 10 * 255 and (changed[:, 4, :, 3] == 255).all() and not obs.any()


@pytest.mark.long
def test_every_table_and_figure_runs(tmp_path):
    for module in (table1, table2, keys, attention, adversarial):
        name = module.__name__.rpartition(".")[2]
        begin(module.main, tmp_path / name, "smoke", "command", tiny=True)
        assert "reproduced" in (tmp_path / name / "report.md").read_text()
        for picture in (tmp_path / name).glob("*.png"):
            assert picture.stat().st_size > 1_000
