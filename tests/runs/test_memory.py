"""An agent that remembers: its games are recorded with what it remembered, and explained by it."""

import jax
import numpy as np
import pytest

from rljax_viz.commands.playing import play
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


@pytest.fixture(scope="module")
def windowed(tmp_path_factory):
    """An agent that looks at a window of ten observations after three updates, and two of its games."""
    settings = {"num_envs": 4, "num_steps": 16, "steps": 4 * 16 * 3, "learn_start": 64, "checkpoint_every": 2}
    config = make_config("Breakout-MinAtar", "split-attention", **settings)
    run = train_run(config, tmp_path_factory.mktemp("window") / "run")
    agent = load_agent(run)
    record(agent, run, 2, seed=3)
    return run, agent


def test_a_window_is_recorded_once_a_frame_and_gathered_again(windowed):
    run, agent = windowed
    episodes = Episodes(run / "episodes.zarr")
    assert agent.obs_shape == (10, 10, 40) and episodes.frames.shape[1:] == (10, 10, 4)
    frames, number = np.asarray(episodes.frames[:]), np.asarray(episodes.episode[:])
    first = [np.flatnonzero(number == k)[0] for k in number]
    seen = [np.concatenate([frames[max(i - back, first[i])] for back in range(9, -1, -1)], -1) for i in range(len(frames))]
    np.testing.assert_array_equal(episodes.observations[:], seen)
    out = jax.jit(jax.vmap(agent.f, (None, 0)))(agent.params, np.array(seen))
    np.testing.assert_allclose(out.q, episodes.q[:], rtol=1e-4, atol=1e-5)


def test_maps_of_a_window_are_those_of_its_newest_frame(windowed):
    run, agent = windowed
    assert agent.first_layer == "conv1.t9"
    explain_run(agent, run, ["gradient", "grad_cam"], ["value"])
    episodes, row = Episodes(run / "episodes.zarr"), 12
    obs = np.asarray(episodes.observations[row], np.float32)
    slope = jax.grad(lambda o: agent.f(agent.params, o).value)(obs)
    maps = open_run(run).maps("gradient", score="value")
    np.testing.assert_allclose(np.asarray(maps[row], np.float32), slope[..., -4:].sum(-1), rtol=2e-3, atol=1e-6)
    assert open_run(run).maps("grad_cam", score="value", layer="conv1.t9")[row].shape == (8, 8)


def test_it_plays_under_the_name_of_its_own_view(windowed, capsys):
    run, _ = windowed
    play(str(run), 1, env="Breakout-MinAtar", preset="plain")
    assert "over 1 games" in capsys.readouterr().out
    with pytest.raises(ValueError, match="another view of the game"):
        play(str(run), 1, env="Asterix-MinAtar")


def test_games_without_its_memory_and_other_frames_are_refused(remembering, explained, tmp_path):
    _, agent = remembering
    with pytest.raises(ValueError, match=r"remembers, and .* does not say what \(memory0, memory1\)"):
        explain_run(agent, explained, ["gradient"], ["value"], any_checkpoint=True)
    with pytest.raises(ValueError, match="gaze is compared for agents of 84x84x4"):
        evaluate_gaze(agent, tmp_path, ["gradient"], ["value"])
