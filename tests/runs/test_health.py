"""The health of a run, checkpoint by checkpoint."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.networks import make
from rljax_viz.runs import check_health, examine, load_agent, make_config, train_run
from rljax_viz.runs.health import watched
from tests.runs.conftest import REMEMBERS


def test_every_checkpoint_is_looked_at_and_kept(trained):
    found = check_health(trained, frames=40)
    assert [one.update for one in found] == [2, 4, 6] and not any(one.faults for one in found)
    told = json.loads((trained / "health.json").read_text())
    assert [row["update"] for row in told] == [2, 4, 6]
    assert {f["where"] for f in told[0]["findings"]} >= {"conv1", "fc", "value", "logits"}
    assert {one.check for one in found[-1].findings} >= {"gradient", "dead units", "guided gradient"}


def test_a_fault_is_told_as_one(trained):
    agent = load_agent(trained)
    params = {"params": {**agent.params["params"], "fc": {k: v * 0 - 1 for k, v in agent.params["params"]["fc"].items()}}}
    faults = {one.where for one in examine(agent._replace(params=params), *watched(agent, 40)) if one.verdict == "fault"}
    assert {"fc", "conv1"} <= faults  # nothing passes through a layer that never fires


def test_a_layer_between_the_streams_and_q_is_no_fault():
    dueling = load_agent("zoo:Breakout-MinAtar-dddqn")
    network, shape = "minatar-split-attention", (10, 10, 40)
    net, preset = make(network, len(dueling.action_names)), dataclasses.replace(dueling.preset, stack=10)
    params = net.init(jax.random.key(0), jnp.zeros(shape, jnp.uint8))
    agent = dueling._replace(f=net.apply, params=params, network=network, preset=preset, obs_shape=shape)
    found = examine(agent, *watched(agent, 40))
    assert "streams" not in {one.check for one in found}
    as_dueling = examine(agent._replace(network="minatar-dueling"), *watched(agent, 40))
    assert ("q - value - advantage", "fault") in {(one.where, one.verdict) for one in as_dueling}


def test_steps_are_watched_in_a_row(trained):
    obs, begins = watched(load_agent(trained), 60)
    assert obs.shape[0] == 60 and begins[0] and np.asarray(begins).sum() > 1


@pytest.mark.parametrize("algo", ["a3c-lstm", "drqn"])
def test_an_agent_that_remembers_is_looked_at_with_its_memory(algo, tmp_path):
    run = train_run(make_config("Breakout-MinAtar", algo, **REMEMBERS[algo]), tmp_path / "run")
    found = check_health(run, frames=40)
    last = {(one.check, one.where): one for one in found[-1].findings}
    assert not found[-1].faults and last["memory", "against an empty one"].number > 0
    assert last["gradient", "lstm/hf"].number > 0  # what forgets learns only where something is remembered
    agent = load_agent(run)
    obs, begins = watched(agent, 40)
    forgets = agent._replace(f=lambda params, obs, memory=None: agent.f(params, obs, None))
    faults = {(one.check, one.where) for one in examine(forgets, obs, begins) if one.verdict == "fault"}
    assert ("memory", "against an empty one") in faults and ("gradient", "lstm/hf") in faults
