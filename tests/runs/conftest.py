"""A run small enough for every test: MinAtar, a few updates, two games recorded and explained."""

from pathlib import Path

import pytest

from rljax_viz.runs import explain_run, load_agent, make_config, record, train_run

TINY = {"num_envs": 4, "num_steps": 16, "num_minibatches": 2, "epochs": 1, "steps": 4 * 16 * 6, "checkpoint_every": 2}
#: agents that remember, by algorithm
REMEMBERS = {
    "a3c-lstm": {**TINY, "num_minibatches": 1, "steps": 4 * 16 * 3},
    "drqn": {"num_envs": 4, "steps": 1024, "learn_start": 128, "batch_size": 8, "replay_size": 1000, "checkpoint_every": 2},
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A finished training of six updates with checkpoints at 2, 4, 6."""
    return train_run(make_config("Breakout-MinAtar", **TINY), tmp_path_factory.mktemp("run") / "trained")


@pytest.fixture(scope="session")
def explained(trained, tmp_path_factory) -> Path:
    """The same agent with two recorded games and two sets of maps."""
    agent = load_agent(trained)
    record(agent, trained, 2, seed=3, overwrite=True)
    explain_run(agent, trained, ["gradient", "grad_cam"], ["value"])
    return trained
