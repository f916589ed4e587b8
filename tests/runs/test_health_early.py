"""Faults are found at a checkpoint at which the rewards of a sound and of a faulty network cannot be told apart yet."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.networks import Output, registry
from rljax_viz.runs import check_health, make_config, read_metrics, train_run
from rljax_viz.transforms import tag

PLAN = {"num_envs": 64, "num_steps": 64, "num_minibatches": 4, "epochs": 4}
FIRST = 3  # the update of the first checkpoint


class Planted(nn.Module):
    """The network `minatar`, whose convolution is linked to nothing."""

    num_actions: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs):
        x = tag(nn.relu(nn.Conv(16, (3, 3), padding="VALID", name="conv1")(obs.astype(jnp.float32) / 255)), "conv1")
        x = tag(nn.relu(nn.Dense(128, name="fc")(jnp.ones_like(x).reshape(-1))), "fc")
        heads = {"logits": nn.Dense(self.num_actions, name="logits")(x), "value": nn.Dense(1, name="value")(x)[0]}
        return Output(**heads)


def returns(run, updates):
    """Mean returns of the games that ended in each of these updates."""
    rows = [row["return"] for row in read_metrics(run) if row["update"] in updates]
    return np.array([value for value in rows if value is not None])


@pytest.mark.long
def test_an_unlinked_layer_is_found_before_the_reward_tells(tmp_path, monkeypatch):
    config = make_config("Breakout-MinAtar", "ppo", steps=4096 * 15, checkpoint_every=FIRST, **PLAN)
    sound = train_run(config, tmp_path / "sound")
    checkups = check_health(sound, frames=64)
    assert not any(one.faults for one in checkups)
    monkeypatch.setitem(registry._NETWORKS, "minatar", (Planted, {}))
    faulty = train_run(config, tmp_path / "faulty")
    first = check_health(faulty, frames=64)[0]
    assert first.update == FIRST and ("gradient", "conv1") in {(one.check, one.where) for one in first.faults}

    early, late = range(1, FIRST + 1), range(11, 16)
    good, bad = returns(sound, early), returns(faulty, early)
    assert abs(good.mean() - bad.mean()) < 2 * max(good.std(ddof=1), bad.std(ddof=1))  # within each other's spread
    good, bad = returns(sound, late), returns(faulty, late)
    assert good.mean() - bad.mean() > 2 * max(good.std(ddof=1), bad.std(ddof=1))  # later anybody can see it
