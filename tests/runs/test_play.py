import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from rljax_viz.envs import make_preset
from rljax_viz.runs import compare_run, evaluate, explain_run, load_agent, make_config, record, train_run
from rljax_viz.store import Episodes


def test_recorded_rows_are_what_the_agent_saw_and_did(explained):
    agent, episodes = load_agent(explained), Episodes(explained / "episodes.zarr")
    assert [game.ended for game in episodes.episodes] == [True, True]
    out = jax.vmap(agent.f, (None, 0))(agent.params, episodes.observations[:])
    np.testing.assert_allclose(episodes.value[:], out.value, atol=1e-5)
    np.testing.assert_allclose(episodes.logits[:], out.logits, atol=1e-5)
    starts = [game.start for game in episodes.episodes]
    np.testing.assert_array_equal(np.flatnonzero(episodes.stack_start[:]), starts)
    ends = np.flatnonzero(episodes.terminated[:] | episodes.truncated[:])
    np.testing.assert_array_equal(ends, [game.stop - 1 for game in episodes.episodes])
    assert episodes.attributes["checkpoint"] == agent.checkpoint


def test_atari_stacks_are_read_back_as_they_were_seen(tmp_path):
    """An untrained agent on the real game: the stored single frames give back the very stacks that were played."""
    from rljax_viz.networks import make as make_network
    from rljax_viz.runs.agent import Agent

    preset = make_preset("baselines", "Breakout-v5", max_episode_steps=60)
    network = make_network("nature", 4)
    params = network.init(jax.random.key(0), np.zeros((84, 84, 4), np.uint8))
    agent = Agent(network.apply, params, "untrained", "nature", preset, ("a",) * 4, (84, 84, 4), "0", {})
    env = agent.make_env(1, recording=True)
    record(agent, tmp_path, 2, seed=5, env=env)
    episodes = Episodes(tmp_path / "episodes.zarr")
    # played again by hand with the recorded actions: same key, same games
    _, key_reset = jax.random.split(jax.random.key(5))
    state, timestep = env.reset(key_reset)
    seen, rgb, ram = [], [], []
    step = jax.jit(env.step)
    for action in episodes.action[:]:
        seen.append(timestep.obs[0])
        rgb.append(timestep.info.extra["rgb"][0])
        ram.append(timestep.info.extra["ram"][0])
        state, timestep = step(state, np.array([action], np.int32))
        if timestep.done[0]:
            state, timestep = step(state, np.zeros(1, np.int32))
            assert not timestep.info.valid[0]
    np.testing.assert_array_equal(episodes.observations[:], np.stack(seen))
    np.testing.assert_array_equal(episodes.rgb[:], np.stack(rgb))
    np.testing.assert_array_equal(episodes.ram[:], np.stack(ram))
    assert len(episodes.episodes) == 2 and episodes.episodes[0].ended


def test_recording_refuses_to_overwrite_and_can_be_cut_short(explained, tmp_path):
    agent = load_agent(explained)
    record(agent, tmp_path, 5, max_steps=7)
    assert len(Episodes(tmp_path / "episodes.zarr")) == 7
    with pytest.raises(FileExistsError, match="overwrite=True"):
        record(agent, tmp_path, 1)


def test_the_same_seed_plays_the_same_games(trained):
    agent = load_agent(trained)
    one, again, other = (evaluate(agent, 6, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.returns, again.returns)
    np.testing.assert_array_equal(one.lengths, again.lengths)
    assert (one.lengths != other.lengths).any()
    assert one.returns.shape == (6,) and (one.lengths > 0).all()


def test_greedy_takes_the_best_action(explained, tmp_path):
    agent = load_agent(explained)
    record(agent, tmp_path, 1, greedy=True)
    episodes = Episodes(tmp_path / "episodes.zarr")
    np.testing.assert_array_equal(episodes.action[:], episodes.logits[:].argmax(-1))


def test_another_game_or_view_is_refused(trained):
    agent = load_agent(trained)
    with pytest.raises(ValueError, match=r"was trained on another view of the game \(env_id: 'Asterix-MinAtar'"):
        agent.make_env(1, preset=make_preset("plain", "Asterix-MinAtar"))
    with pytest.raises(ValueError, match="stack: 4, trained on 1"):
        agent.make_env(1, preset=dataclasses.replace(agent.preset, stack=4))


def test_agents_that_do_not_exist_are_explained(tmp_path, trained):
    with pytest.raises(ValueError, match="the zoo has no agent 'nobody'; it has"):
        load_agent("zoo:nobody")
    with pytest.raises(FileNotFoundError, match="is not a run"):
        load_agent(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="no checkpoint of update 77"):
        load_agent(trained, update=77)


def test_what_cannot_be_recorded_leaves_the_old_recording(explained):
    agent, before = load_agent(explained), sorted(path.name for path in (explained / "maps").iterdir())
    for wrong in ({"episodes": 0}, {"max_steps": 0}, {"max_steps": -5}, {"epsilon": 2.0}):
        with pytest.raises(ValueError, match="got"):
            record(agent, explained, **wrong, overwrite=True)
    assert before and sorted(path.name for path in (explained / "maps").iterdir()) == before


def test_a_recording_knows_which_seed_and_update_played(tmp_path, monkeypatch):
    small = {"num_envs": 2, "num_steps": 16, "num_minibatches": 1, "epochs": 1}
    config = make_config("Breakout-MinAtar", steps=4 * 32, seeds=2, checkpoint_every=2, **small)
    monkeypatch.chdir(tmp_path)
    train_run(config, Path("run"))
    agent = load_agent("run", update=2, seed_index=1)
    record(agent, tmp_path / "games", max_steps=8)
    monkeypatch.chdir("/")
    assert load_agent(tmp_path / "games").checkpoint == agent.checkpoint
    assert load_agent(tmp_path / "games", update=4).checkpoint != agent.checkpoint
    (explained,) = explain_run(load_agent(tmp_path / "games"), tmp_path / "games", ["gradient"], ["value"])
    assert explained.frames == 8
    other = load_agent(tmp_path / "run")
    with pytest.raises(ValueError, match="holds games of checkpoint"):
        compare_run(other, tmp_path / "games", ["gradient", "input_x_gradient"], frames=4)
    assert compare_run(other, tmp_path / "games", ["gradient", "input_x_gradient"], frames=4, any_checkpoint=True)


def test_a_directory_that_play_made_knows_its_agent(trained, tmp_path):
    (tmp_path / "agent.json").write_text(json.dumps({"agent": str(trained)}))
    assert load_agent(tmp_path).checkpoint == load_agent(trained).checkpoint
