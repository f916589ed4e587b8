"""Faults are found at a checkpoint at which the rewards of a sound and of a faulty network cannot be told apart yet."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.envs import gymnax_door
from rljax_viz.envs.stacked import stacked
from rljax_viz.networks import Output, registry
from rljax_viz.networks.minatar_q import MinAtarQ
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


class Merged(MinAtarQ):
    """The network `minatar-dueling`, whose value is not merged into q."""

    @nn.compact
    def __call__(self, obs):
        out = super().__call__(obs)
        return out._replace(q=out.advantage)


def same_frames(env, stack, padding="repeat"):
    """`stacked`, whose frames are all the newest one."""
    made = stacked(env, stack, padding)
    width = env.obs_shape[-1]

    def seen(timestep):
        return timestep._replace(obs=jnp.tile(timestep.obs[..., -width:], stack))

    def reset(key):
        state, first = made.reset(key)
        return state, seen(first)

    def step(state, action):
        state, moved = made.step(state, action)
        return state, seen(moved)

    return dataclasses.replace(made, reset=reset, step=step)


def apart(sound, faulty, updates):
    """The difference of the mean returns of two runs over `updates`, in units of the larger spread."""
    good, bad = returns(sound, updates), returns(faulty, updates)
    return (good.mean() - bad.mean()) / max(good.std(ddof=1), bad.std(ddof=1))


def both(config, folder, plant):
    """The run of a sound agent, in which nothing is found; of a faulty one, and what is found at its first checkpoint."""
    sound = train_run(config, folder / "sound")
    assert not any(one.faults for one in check_health(sound, frames=64))
    plant()
    faulty = train_run(config, folder / "faulty")
    first = check_health(faulty, frames=64)[0]
    assert first.update == FIRST
    return sound, faulty, {(one.check, one.where) for one in first.faults}


EARLY, LATE = range(1, FIRST + 1), range(11, 16)


@pytest.mark.long
def test_an_unlinked_layer_is_found_before_the_reward_tells(tmp_path, monkeypatch):
    config = make_config("Breakout-MinAtar", "ppo", steps=4096 * 15, checkpoint_every=FIRST, **PLAN)
    plant = lambda: monkeypatch.setitem(registry._NETWORKS, "minatar", (Planted, {}))  # noqa: E731
    sound, faulty, found = both(config, tmp_path, plant)
    assert ("gradient", "conv1") in found
    assert abs(apart(sound, faulty, EARLY)) < 2  # within each other's spread
    assert apart(sound, faulty, LATE) > 2  # later anybody can see it


@pytest.mark.long
def test_a_value_that_is_not_merged_is_found_before_the_reward_tells(tmp_path, monkeypatch):
    config = make_config("Breakout-MinAtar", "dddqn", steps=4096 * 15, checkpoint_every=FIRST, num_envs=8, num_steps=512)
    plant = lambda: monkeypatch.setitem(registry._NETWORKS, "minatar-dueling", (Merged, {"dueling": True}))  # noqa: E731
    sound, faulty, found = both(config, tmp_path, plant)
    assert ("streams", "q - value - advantage") in found
    assert abs(apart(sound, faulty, EARLY)) < 2
    assert apart(sound, faulty, LATE) > 2


@pytest.mark.long
def test_frames_stacked_wrongly_are_found_though_the_reward_never_tells(tmp_path, monkeypatch):
    """MinAtar shows where the ball was: an agent does without its older frames, and nobody would look for the fault."""
    config = make_config("Breakout-MinAtar", "ppo", steps=4096 * 15, checkpoint_every=FIRST, **PLAN)
    config = dataclasses.replace(config, preset=dataclasses.replace(config.preset, stack=4))
    plant = lambda: monkeypatch.setattr(gymnax_door, "stacked", same_frames)  # noqa: E731
    sound, faulty, found = both(config, tmp_path, plant)
    assert ("stack", "frames differ") in found
    assert abs(apart(sound, faulty, EARLY)) < 2
    assert returns(faulty, LATE).mean() > 2 * returns(faulty, EARLY).mean()  # it learns all the same
