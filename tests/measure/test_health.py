"""Planted faults are found in networks that have learned nothing yet, and sound networks raise no alarm."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.explain import scores
from rljax_viz.measure import dead_units, frames_used, guided_focus, merged_streams, reached, stacking
from rljax_viz.networks import Output
from rljax_viz.transforms import tag

STACK = 4


class Dueling(nn.Module):
    """A small dueling network with the fault that `plant` names."""

    plant: str = ""

    @nn.compact
    def __call__(self, obs):
        x = obs.astype(jnp.float32) / 255
        if self.plant == "one frame":
            x = jnp.concatenate([x[..., -1:]] * STACK, -1)
        x = tag(nn.relu(nn.Conv(8, (3, 3), name="conv1")(x)), "conv1")
        spare = tag(nn.relu(nn.Conv(8, (3, 3), name="conv2")(x)), "conv2")
        x = (x if self.plant == "unlinked" else spare).reshape(-1)
        for_value, for_advantage = (tag(nn.relu(nn.Dense(16, name=n)(x)), n) for n in ("fc_value", "fc_advantage"))
        if self.plant == "stopped":
            for_value = jax.lax.stop_gradient(for_value)
        value, raw = nn.Dense(1, name="value")(for_value)[0], nn.Dense(3, name="advantage")(for_advantage)
        advantage = raw if self.plant == "mean" else raw - raw.mean()
        q = advantage if self.plant == "value left out" else value + advantage
        return Output(q=q, value=value, advantage=advantage)


def walk(steps=40, size=10, plant=""):
    """Stacks of a square that walks: obs[T H W 4], begins[T]; two games."""
    frames = np.zeros((steps + STACK, size, size), np.uint8)
    for t in range(steps + STACK):
        frames[t, t % size, (2 * t) % size] = 200
    rows = [[t + k for k in range(STACK)] for t in range(steps)]
    if plant == "same":
        rows = [[t + STACK - 1] * STACK for t in range(steps)]
    elif plant == "order":
        rows = [row[::-1] for row in rows]
    obs = np.stack([frames[row].transpose(1, 2, 0) for row in rows])
    if plant == "rolled":  # np.roll over the wrong axis: what is kept is moved sideways
        obs = np.stack([np.roll(o, t, axis=1) for t, o in enumerate(obs)])
    return obs, np.arange(steps) % 20 == 0


def faults(net, obs, begins):
    params = net.init(jax.random.key(0), obs[0])
    f = net.apply
    found = stacking(obs, 1, begins) + merged_streams(f, params, obs) + reached(f, params, obs[:8])
    found += dead_units(f, params, obs) + frames_used(f, scores.value, params, obs, 1)
    return {(one.check, one.where) for one in found if one.verdict == "fault"}


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        ("", set()),
        ("unlinked", {("gradient", "conv2")}),
        ("stopped", {("gradient", "fc_value")}),
        ("value left out", {("streams", "q - value - advantage")}),
        ("mean", {("streams", "mean of advantage")}),
        ("one frame", {("frames", f"frame t-{k}") for k in (1, 2, 3)}),
    ],
)
def test_faults_of_networks_are_found_before_anything_is_learned(plant, found):
    told = faults(Dueling(plant), *walk())
    assert found <= told and bool(told) == bool(plant)  # one fault may show in several places


@pytest.mark.parametrize(
    ("plant", "found"),
    [("", set()), ("same", {"moves on", "frames differ"}), ("order", {"moves on"}), ("rolled", {"moves on"})],
)
def test_faults_of_stacking_are_found(plant, found):
    obs, begins = walk(plant=plant)
    assert {one.where for one in stacking(obs, 1, begins) if one.verdict == "fault"} == found


@pytest.mark.parametrize(
    ("name", "shape", "channels"),
    [
        ("minatar", (10, 10, 4), 4),
        ("minatar-dueling", (10, 10, 4), 4),
        ("minatar-idqn", (10, 10, 4), 4),
        ("nature", (36, 36, 4), 1),
    ],
)
def test_sound_networks_raise_no_alarm(name, shape, channels):
    net, rng = networks.make(name, 3), np.random.default_rng(0)
    obs = rng.integers(0, 256, (12, *shape)).astype(np.uint8)
    params = net.init(jax.random.key(0), obs[0])
    score = scores.greedy_q if name == "minatar-idqn" else scores.value
    found = merged_streams(net.apply, params, obs) + reached(net.apply, params, obs[:6])
    found += dead_units(net.apply, params, obs) + frames_used(net.apply, score, params, obs, channels)
    assert not [one for one in found if one.verdict == "fault"]


def test_dead_units_are_counted():
    net = Dueling()
    obs, _ = walk()
    params = net.init(jax.random.key(0), obs[0])
    kernel = params["params"]["conv1"]["kernel"].at[..., :6].set(0.0)
    dead = {**params["params"], "conv1": {"kernel": kernel, "bias": jnp.where(jnp.arange(8) < 6, -1.0, 0.0)}}
    found = {one.where: one for one in dead_units(net.apply, {"params": dead}, obs)}
    assert found["conv1"].number == 0.75 and found["conv1"].verdict == "look"


def test_guided_gradients_are_compared_on_what_moves():
    class Sees(nn.Module):  # the score is the brightness of the newest frame: the map is 1 where it is bright, and its weight
        @nn.compact
        def __call__(self, obs):
            return Output(value=nn.relu(obs[..., -1].astype(jnp.float32)).sum())

    obs, _ = walk()
    found = {one.where: one.number for one in guided_focus(Sees().apply, scores.value, {}, obs, 1)}
    moving = (obs[1:, ..., -1] != obs[:-1, ..., -1])
    bright = obs[1:, ..., -1] > 0
    assert found["positive, moving over still"] == pytest.approx(bright[moving].mean() / 1e-30, rel=1e-3)
    assert found["negative, moving over still"] == 0
