"""Planted faults are found in networks that have learned nothing yet, and sound networks raise no alarm."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.explain import scores
from rljax_viz.measure import dead_units, faint_layers, frames_used, merged_streams, reached, stacking
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
        if self.plant == "faint":
            spare = spare * 1e-9
        if self.plant == "zero":
            spare = spare * 0
        x = (x if self.plant == "unlinked" else spare).reshape(-1)
        seen = {n: jax.lax.stop_gradient(x) if self.plant == f"{n} cut" else x for n in ("value", "advantage")}
        for_value, for_advantage = (tag(nn.relu(nn.Dense(16, name=f"fc_{n}")(x)), f"fc_{n}") for n, x in seen.items())
        if self.plant == "stopped":
            for_value = jax.lax.stop_gradient(for_value)
        value, raw = nn.Dense(1, name="value")(for_value)[0], nn.Dense(3, name="advantage")(for_advantage)
        advantage = raw if self.plant == "mean" else raw - raw.mean()
        q = advantage if self.plant == "value left out" else value + advantage
        if self.plant == "q stopped":
            q = value + jax.lax.stop_gradient(advantage)
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
        ("stopped", {("gradient", "fc_value"), ("gradient of value", "conv2")}),
        ("value cut", {("gradient of value", "conv1"), ("gradient of value", "conv2")}),
        ("advantage cut", {("gradient of advantage", "conv1"), ("gradient of advantage", "conv2")}),
        ("q stopped", {("gradient of q", "advantage"), ("gradient of q", "fc_advantage")}),
        ("value left out", {("streams", "q - value - advantage")}),
        ("mean", {("streams", "mean of advantage")}),
        ("one frame", {("frames", f"frame t-{k}") for k in (1, 2, 3)}),
    ],
)
def test_faults_of_networks_are_found_before_anything_is_learned(plant, found):
    told = faults(Dueling(plant), *walk())
    assert found <= told and bool(told) == bool(plant)  # one fault may show in several places


@pytest.mark.parametrize("stream", ["value", "advantage"])
def test_a_stream_that_teaches_nothing_is_named_and_nothing_else(stream):
    other = {"value": "advantage", "advantage": "value"}[stream]
    told = faults(Dueling(f"{stream} cut"), *walk())
    assert told == {(f"gradient of {stream}", "conv1"), (f"gradient of {stream}", "conv2")}  # no fault of frames
    net, (obs, _) = Dueling(f"{stream} cut"), walk()
    found = {(one.check, one.where): one for one in reached(net.apply, net.init(jax.random.key(0), obs[0]), obs[:8])}
    assert found[f"gradient of {stream}", f"fc_{stream}"].number > 0 and found[f"gradient of {other}", "conv1"].number > 0
    assert (f"gradient of {stream}", f"fc_{other}") not in found  # by design, and no row at all


def test_gradients_are_the_root_mean_square_by_hand():
    class Line(nn.Module):  # value = sum(w x): the gradient is x, times a weight of the draw
        @nn.compact
        def __call__(self, obs):
            return Output(value=nn.Dense(1, use_bias=False, name="line")(obs.reshape(-1))[0])

    obs = np.random.default_rng(0).normal(size=(5, 2, 2, 1)).astype(np.float32)
    found = {one.check: one for one in reached(Line().apply, Line().init(jax.random.key(0), obs[0]), obs)}
    weight = abs(float(jax.random.normal(jax.random.key(0), ())))
    want = weight * np.sqrt((obs.astype(np.float64) ** 2).mean())
    assert found["gradient of value"].number == pytest.approx(want, rel=1e-5)


def test_a_layer_that_is_scaled_away_is_told():
    net, (obs, _) = Dueling("faint"), walk()
    params = net.init(jax.random.key(0), obs[0])
    looks = {(one.check, one.where) for one in reached(net.apply, params, obs[:8]) if one.verdict == "look"}
    assert {("gradient of q", "conv1"), ("gradient of q", "conv2"), ("gradient of value", "conv2")} <= looks
    assert ("gradient of q", "fc_value") not in looks
    (faint,) = faint_layers(net.apply, params, obs)
    assert faint.where in ("fc_value", "fc_advantage") and 0 < faint.number < 1e-6
    sound = Dueling()
    assert not faint_layers(sound.apply, sound.init(jax.random.key(0), obs[0]), obs)


def test_a_layer_above_dead_ones_is_not_said_to_be_stopped():
    net, (obs, _) = Dueling("zero"), walk()
    found = reached(net.apply, net.init(jax.random.key(0), obs[0]), obs[:8])
    says = {one.where: one.says for one in found if one.verdict == "fault"}
    assert "conv2" in says and not [text for text in says.values() if "stopped" in text]


def test_frames_that_get_in_without_a_gradient_are_no_fault_of_theirs():
    net, (obs, _) = Dueling("value cut"), walk()
    params = net.init(jax.random.key(0), obs[0])
    found = frames_used(net.apply, scores.value, params, obs, 1)
    assert [one.verdict for one in found] == ["look"] * STACK and "gets in" in found[0].says


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
    found += faint_layers(net.apply, params, obs)
    assert not [one for one in found if one.verdict == "fault" or ("gradient" in one.check and one.verdict != "ok")]


def test_dead_units_are_counted():
    net = Dueling()
    obs, _ = walk()
    params = net.init(jax.random.key(0), obs[0])
    kernel = params["params"]["conv1"]["kernel"].at[..., :6].set(0.0)
    dead = {**params["params"], "conv1": {"kernel": kernel, "bias": jnp.where(jnp.arange(8) < 6, -1.0, 0.0)}}
    found = {one.where: one for one in dead_units(net.apply, {"params": dead}, obs)}
    assert found["conv1"].number == 0.75 and found["conv1"].verdict == "look"
    assert found["conv1"].says.startswith("6 of 8 units never fire")
    whole = {one.where: one.says for one in dead_units(net.apply, params, obs)}
    assert whole["conv1"].endswith("of 8 units never fire") and "few" not in whole["conv1"]
