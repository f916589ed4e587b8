"""The health of a run, checkpoint by checkpoint."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import g1_grad_cam, scores, upsample
from rljax_viz.measure import Finding
from rljax_viz.networks import make
from rljax_viz.runs import Checkup, check_health, examine, load_agent, make_config, train_run
from rljax_viz.runs.health import watched
from rljax_viz.screen import print_health
from tests.runs.conftest import REMEMBERS


def test_every_checkpoint_is_looked_at_and_kept(trained):
    found = check_health(trained, frames=40)
    assert [one.update for one in found] == [2, 4, 6] and not any(one.faults for one in found)
    told = json.loads((trained / "health.json").read_text())
    assert [row["update"] for row in told] == [2, 4, 6]
    assert {f["where"] for f in told[0]["findings"]} >= {"conv1", "fc", "value", "logits"}
    streams = ("value", "logits")
    focus = {f"{what} of {stream}" for what in ("gradient", "guided gradient") for stream in streams}
    focus |= {f"G1-Grad-CAM of {stream}, conv1" for stream in streams}
    assert {one.check for one in found[-1].findings} >= {"gradient", "dead units", *focus}
    rows = {(one.check, one.where): one.number for one in found[-1].findings}
    assert rows["guided gradient of value", "positive, on what moves"] > 0
    assert ("gradient of value", "logits") not in rows and rows["gradient of logits", "logits"] > 0
    assert {one.check for one in found[-1].findings if one.verdict != "ok"} <= {"dead units"}


def test_g1_grad_cam_on_what_moves_is_the_share_of_its_map(trained):
    agent = load_agent(trained)
    obs, begins = watched(agent, 40)
    found = {one.check: one.number for one in examine(agent, obs, begins) if "moving over whole" in one.where}
    explain = jax.jit(g1_grad_cam(agent.f, scores.value, "conv1"))
    maps = np.stack([np.asarray(explain(agent.params, one), np.float64) for one in obs])[1:]
    maps = np.stack([np.asarray(upsample(map, (10, 10)), np.float64) for map in maps])
    moves = (obs[1:] != obs[:-1]).any(-1)
    np.testing.assert_allclose(found["G1-Grad-CAM of value, conv1"], maps[moves].mean() / maps.mean(), rtol=1e-4)


def test_a_few_checkpoints_are_shown_and_what_is_wrong_is_said(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    found = [
        Checkup(update, [
            Finding("gradient of value", "conv1", update / 10, "ok", "reaches it"),
            Finding("dead units", "fc", 0.7, "look" if update > 40 else "ok", "90 of 128 units never fire"),
        ])
        for update in range(10, 120, 10)
    ]  # fmt: skip
    print_health(found)
    shown = capsys.readouterr().out
    columns = [int(word) for word in re.findall(r"update (\d+) ", shown.splitlines()[1])]
    assert columns == [10, 30, 50, 70, 90, 110]
    assert [line for line in shown.splitlines() if "conv1" in line and "1 " in line and "11 " in line]
    assert "look dead units, fc: 90 of 128 units never fire, since update 50" in shown and shown.endswith("no fault\n")
    monkeypatch.setenv("COLUMNS", "80")
    print_health(found[:1])
    assert "update 10" in capsys.readouterr().out


def test_a_fault_is_told_as_one(trained):
    agent = load_agent(trained)
    params = {"params": {**agent.params["params"], "fc": {k: v * 0 - 1 for k, v in agent.params["params"]["fc"].items()}}}
    faults = {one.where for one in examine(agent._replace(params=params), *watched(agent, 40)) if one.verdict == "fault"}
    assert {"fc", "conv1"} <= faults  # nothing passes through a layer that never fires


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.parametrize("algo", ["a3c-lstm", "drqn"])
def test_an_agent_that_remembers_is_looked_at_with_its_memory(algo, tmp_path):
    run = train_run(make_config("Breakout-MinAtar", algo, **REMEMBERS[algo]), tmp_path / "run")
    found = check_health(run, frames=40)
    last = {(one.check, one.where): one for one in found[-1].findings}
    assert not found[-1].faults and last["memory", "against an empty one"].number > 0
    assert last["gradient", "lstm/hf"].number > 0  # what forgets learns only where something is remembered
    if algo == "drqn":
        return  # one that forgets is as slow again
    agent = load_agent(run)
    obs, begins = watched(agent, 40)
    forgets = agent._replace(f=lambda params, obs, memory=None: agent.f(params, obs, None))
    faults = {(one.check, one.where) for one in examine(forgets, obs, begins) if one.verdict == "fault"}
    assert ("memory", "against an empty one") in faults and ("gradient", "lstm/hf") in faults
