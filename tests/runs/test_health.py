"""The health of a run, checkpoint by checkpoint."""

import json

import numpy as np

from rljax_viz.runs import check_health, load_agent
from rljax_viz.runs.health import watched


def test_every_checkpoint_is_looked_at_and_kept(trained):
    found = check_health(trained, frames=40)
    assert [one.update for one in found] == [2, 4, 6] and not any(one.faults for one in found)
    told = json.loads((trained / "health.json").read_text())
    assert [row["update"] for row in told] == [2, 4, 6]
    assert {f["where"] for f in told[0]["findings"]} >= {"conv1", "fc", "value", "logits"}
    assert {one.check for one in found[-1].findings} >= {"gradient", "dead units", "guided gradient"}


def test_a_fault_is_told_as_one(trained):
    agent = load_agent(trained)
    from rljax_viz.runs import examine

    params = {"params": {**agent.params["params"], "fc": {k: v * 0 - 1 for k, v in agent.params["params"]["fc"].items()}}}
    faults = {one.where for one in examine(agent._replace(params=params), *watched(agent, 40)) if one.verdict == "fault"}
    assert {"fc", "conv1"} <= faults  # nothing passes through a layer that never fires


def test_steps_are_watched_in_a_row(trained):
    obs, begins = watched(load_agent(trained), 60)
    assert obs.shape[0] == 60 and begins[0] and np.asarray(begins).sum() > 1
