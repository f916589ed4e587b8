"""An agent that remembers: its games are recorded with what it remembered, and explained by it."""

import jax
import numpy as np
import pytest

from rljax_viz.runs import evaluate_gaze, explain_run, load_agent, make_config, open_run, record, train_run
from rljax_viz.store import Episodes
from tests.runs.conftest import TINY


@pytest.fixture(scope="module")
def remembering(tmp_path_factory):
    """An agent with an LSTM after three updates, and two of its games."""
    settings = {**TINY, "num_minibatches": 1, "steps": 4 * 16 * 3}
    run = train_run(make_config("Breakout-MinAtar", "a3c-lstm", **settings), tmp_path_factory.mktemp("lstm") / "run")
    agent = load_agent(run)
    record(agent, run, 2, seed=3)
    return run, agent


def test_what_is_recorded_is_what_it_remembered(remembering):
    run, agent = remembering
    episodes = Episodes(run / "episodes.zarr")
    memory = tuple(np.asarray(getattr(episodes, f"memory{i}")[:]) for i in (0, 1))
    out = jax.vmap(agent.f, (None, 0, 0))(agent.params, np.asarray(episodes.observations[:]), memory)
    np.testing.assert_allclose(out.value, episodes.value[:], rtol=1e-5, atol=1e-6)
    goes_on = np.diff(episodes.episode[:]) == 0
    np.testing.assert_allclose(out.carry[1][:-1][goes_on], memory[1][1:][goes_on], rtol=1e-5, atol=1e-6)
    first = np.flatnonzero(np.diff(episodes.episode[:], prepend=-1))
    assert not memory[0][first].any() and memory[0][1].any()


def test_its_maps_are_those_of_what_it_remembered(remembering):
    run, agent = remembering
    explain_run(agent, run, ["gradient"], ["value"])
    episodes, maps = Episodes(run / "episodes.zarr"), open_run(run).maps("gradient", score="value")
    row = 5
    memory = tuple(getattr(episodes, f"memory{i}")[row] for i in (0, 1))
    obs = np.asarray(episodes.observations[row], np.float32)
    slope = jax.grad(lambda o: agent.f(agent.params, o, memory).value)(obs)
    np.testing.assert_allclose(np.asarray(maps[row], np.float32), slope.sum(-1), rtol=2e-3, atol=1e-6)


def test_games_without_its_memory_and_other_frames_are_refused(remembering, explained, tmp_path):
    _, agent = remembering
    with pytest.raises(ValueError, match=r"remembers, and .* does not say what \(memory0, memory1\)"):
        explain_run(agent, explained, ["gradient"], ["value"], any_checkpoint=True)
    with pytest.raises(ValueError, match="gaze is compared for agents of 84x84x4"):
        evaluate_gaze(agent, tmp_path, ["gradient"], ["value"])
