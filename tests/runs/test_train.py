import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from rljax_viz.runs import Checkpoints, RunConfig, make_config, make_loop, read_metrics, train_run
from rljax_viz.runs.train import check_replay
from tests.runs.conftest import TINY


def leaves(run: Path, config: RunConfig):
    """Everything that the newest checkpoint of `run` holds, as numpy."""
    loop = make_loop(config)
    checkpoints = Checkpoints(run, leave_out=loop.apart)
    state = checkpoints.restore(loop.init())
    checkpoints.close()
    return [np.asarray(x) for x in jax.tree.leaves((state.params, state.opt_state, state.update))]


def test_a_run_leaves_what_it_promises(trained):
    rows = read_metrics(trained)
    assert [row["update"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["steps"] == 4 * 16 * 6 and {"return", "entropy", "value_loss", "episodes"} <= set(rows[0])
    config = RunConfig.load(trained)
    assert config.preset.env_id == "Breakout-MinAtar" and config.algorithm.num_steps == 16
    assert RunConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    checkpoints = Checkpoints(trained)
    assert checkpoints.updates() == [2, 4, 6]
    checkpoints.close()


def test_resuming_equals_never_stopping_bit_for_bit(trained, tmp_path):
    config = RunConfig.load(trained)
    stopped = train_run(config, tmp_path / "stopped", max_updates=4)
    train_run(config, stopped, resume=True)
    for a, b in zip(leaves(trained, config), leaves(stopped, config), strict=True):
        np.testing.assert_array_equal(a, b)
    assert read_metrics(stopped) == read_metrics(trained)


@pytest.mark.long
def test_seeds_with_a_memory_resume_bit_for_bit(tmp_path):
    config = make_config(
        "Breakout-MinAtar", "dddqn", seeds=2, num_envs=4, num_steps=32, steps=4 * 32 * 6, checkpoint_every=2, replay_size=300,
        learn_start=128, learn_every=8, batch_size=8, prioritised=True, n_step=2,
    )  # fmt: skip
    whole = train_run(config, tmp_path / "whole")
    stopped = train_run(config, tmp_path / "stopped", max_updates=4)  # the memory has wrapped by then
    train_run(config, stopped, resume=True)
    for a, b in zip(leaves(whole, config), leaves(stopped, config), strict=True):
        np.testing.assert_array_equal(a, b)
    assert read_metrics(stopped) == read_metrics(whole) and all(loss > 0 for loss in read_metrics(whole)[-1]["loss"])


def test_an_existing_run_is_not_overwritten(trained):
    with pytest.raises(FileExistsError, match="go on with --resume"):
        train_run(RunConfig.load(trained), trained)


def test_resuming_with_other_settings_is_refused(trained):
    with pytest.raises(ValueError, match=r"other settings \(algorithm\)"):
        train_run(make_config("Breakout-MinAtar", **{**TINY, "epochs": 2}), trained, resume=True)


def test_a_run_is_not_given_an_end_before_its_own(trained):
    config = RunConfig.load(trained)
    with pytest.raises(ValueError, match=r"has learned for .* steps: give it that many or more"):
        train_run(config.with_steps(4 * 16), trained, resume=True)
    assert RunConfig.load(trained) == config


@pytest.mark.slow
def test_a_run_may_be_given_another_end(trained, tmp_path):
    config = RunConfig.load(trained)
    short = train_run(config, tmp_path / "short", max_updates=4)
    train_run(config.with_steps(4 * 16 * 8), short, resume=True)
    assert len(read_metrics(short)) == 8 and RunConfig.load(short).algorithm.steps == 4 * 16 * 8


def test_a_directory_without_a_run_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a run: it has no config\.json"):
        RunConfig.load(tmp_path)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"no algorithm 'dqm'.*near it: \['dqn'"):
        make_config("Breakout-MinAtar", "dqm")
    with pytest.raises(ValueError, match=r"no setting \['lr'\]"):
        make_config("Breakout-MinAtar", lr=1)
    with pytest.raises(ValueError, match=r"idqn has no setting \['code'\]; .*'kl'.*network minatar-idqn has \['decoder', "):
        make_config("Breakout-MinAtar", "idqn", code="vae")
    with pytest.raises(ValueError, match="no network is called 'minatr'"):
        make_config("Breakout-MinAtar", network="minatr")


@pytest.mark.parametrize(
    ("algo", "env_id", "updates"),
    [("ppo", "Pong-v5", 64), ("dddqn", "Breakout-MinAtar", 64), ("a3c-lstm", "Seaquest-v5", 410), ("acktr", "Pong-v5", 410)],
)
def test_games_may_be_long_between_two_checkpoints(algo, env_id, updates):
    """Games begin anew there, so that what lies beyond is never learned, and no return of a longer game is told."""
    config = make_config(env_id, algo)
    assert config.checkpoint_every == updates and updates * config.algorithm.num_steps >= 8192
    assert make_config(env_id, algo, checkpoint_every=2).checkpoint_every == 2
    with pytest.raises(ValueError, match="checkpoint_every is 0, expected 1 or more"):
        make_config(env_id, algo, checkpoint_every=0)


def test_settings_that_an_algorithm_has_not_go_to_its_network():
    config = make_config("Breakout-MinAtar", "idqn", kl=0.01, decoder="vae", values="random", network_options={"keys": 8})
    assert config.algorithm.kl == 0.01 and config.network == "minatar-idqn"
    assert config.network_options == {"keys": 8, "decoder": "vae", "values": "random"}


@pytest.mark.parametrize(
    ("algo", "network", "fitting"),
    [
        ("dddqn", "minatar-q", "minatar-dueling, nature-dueling"),
        ("split-attention", "minatar-q", "minatar-split-attention, split-attention"),
        ("darqn", "minatar-drqn", "darqn, minatar-darqn"),
        ("a3c-lstm", "minatar", "a3c-lstm, minatar-lstm"),
        ("idqn", "minatar-q", "idqn, minatar-idqn"),
    ],
)
def test_an_algorithm_that_is_its_network_takes_no_other(algo, network, fitting):
    with pytest.raises(ValueError, match=f"--algo {algo} .* {network} is another: networks that fit are {fitting}"):
        make_config("Breakout-MinAtar", algo, network=network)


@pytest.mark.parametrize(
    ("algo", "network", "message"),
    [("dqn", "minatar-idqn", "only i-DQN finds"), ("a2c", "minatar-drqn", "DRQN has no logits and value, and ppo, a2c")],
)
def test_a_network_that_cannot_be_learned_is_refused_before_there_is_a_run(algo, network, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train_run(make_config("Breakout-MinAtar", algo, network=network), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_memories_of_all_seeds_are_counted():
    small, atari = (10, 10, 10), (84, 84, 4)  # Seaquest's planes
    check_replay(make_config("Seaquest-MinAtar", "dqn", seeds=8), small)
    check_replay(make_config("Breakout-v5", "dqn", replay_size=200_000), atari)
    with pytest.raises(ValueError, match=r"8 seeds x replay_size=200000 .* 7056 bytes are 11\.3 GB.*replay_size=43000"):
        check_replay(make_config("Breakout-v5", "dqn", seeds=8, replay_size=200_000), atari)
    check_replay(make_config("Breakout-v5", "dqn", seeds=8, replay_size=43_000), atari)
    with pytest.raises(ValueError, match="64 seeds x replay_size=100000 frames of 400 bytes"):
        make_loop(make_config("Breakout-MinAtar", "dqn", seeds=64))


@pytest.mark.slow
def test_each_of_eight_seeds_sees_its_own_games_and_learns_as_it_would_alone():
    settings = {**TINY, "steps": 4 * 16 * 3}
    together = make_loop(make_config("Breakout-MinAtar", seeds=8, seed=10, **settings))
    states = together.init()
    first = [np.array(states.timestep.obs)]  # the state is donated to its update
    for _ in range(3):
        states, metrics = together.update(states)
    first.append(metrics.episodes.count)
    for k in (0, 5):
        alone = make_loop(make_config("Breakout-MinAtar", seed=10 + k, **settings))
        state = alone.init()
        np.testing.assert_array_equal(first[0][k], state.timestep.obs)
        for _ in range(3):
            state, own = alone.update(state)
        assert first[1][k] == own.episodes.count
        for a, b in zip(jax.tree.leaves(states.params), jax.tree.leaves(state.params), strict=True):
            np.testing.assert_allclose(a[k], b, atol=1e-4)
    assert (first[0][0] != first[0][5]).any()


def test_a_run_of_several_seeds_is_saved_and_read_back(tmp_path):
    from rljax_viz.runs import load_agent

    config = make_config("Breakout-MinAtar", seeds=3, **{**TINY, "steps": 4 * 16 * 2})
    run = train_run(config, tmp_path / "seeds")
    assert len(read_metrics(run)[0]["entropy"]) == 3
    one, two = load_agent(run, seed_index=1), load_agent(run, seed_index=2)
    assert one.checkpoint != two.checkpoint
    with pytest.raises(ValueError, match="holds 3 seeds, there is no number 3"):
        load_agent(run, seed_index=3)


SPREAD = """
import sys
from pathlib import Path
import jax
from rljax_viz.runs import RunConfig, make_loop, share_cores, train_run
config = RunConfig.load(Path(sys.argv[1]))
jax.config.update("jax_num_cpu_devices", 2)
assert len(jax.tree.leaves(make_loop(config).init().params)[0].devices()) == 2
share_cores(config)  # too late, and no harm
train_run(config, Path(sys.argv[2]), max_updates=2)
"""


def test_seeds_on_two_devices_learn_the_same_and_go_on_with_one(tmp_path):
    from rljax_viz.runs import load_agent

    config = make_config("Breakout-MinAtar", seeds=4, **{**TINY, "steps": 4 * 16 * 4, "checkpoint_every": 2})
    one, two = train_run(config, tmp_path / "one"), tmp_path / "two"
    subprocess.run([sys.executable, "-c", SPREAD, str(one), str(two)], check=True)
    train_run(config, two, resume=True)
    for k in range(4):
        a, b = (jax.tree.leaves(load_agent(run, seed_index=k).params) for run in (one, two))
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, atol=1e-5)


COMMAND = "import sys; from rljax_viz.cli import main; sys.argv[0] = 'rljax-viz'; main()"


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_update(run: Path, update: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        if read_metrics(run) and read_metrics(run)[-1]["update"] >= update:
            return
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1].decode()[-2000:])
        time.sleep(0.05)
    raise AssertionError(f"update {update} was not reached")


CASES = {
    "Breakout-MinAtar": ("--num-envs", "8", "--num-steps", "32", "--steps", "10240", "--checkpoint-every", "8"),
    "Pong-v5": ("--num-envs", "2", "--num-steps", "16", "--steps", "384", "--checkpoint-every", "2", "--epochs", "1"),
}


Q_CASE = ("--algo", "dddqn", "--num-envs", "4", "--num-steps", "32", "--steps", "2560", "--checkpoint-every", "4")
Q_SETTINGS = ("replay_size=600", "learn_start=200", "prioritised=true", "n_step=3", "learn_every=4")
Q_CASE += tuple(f"--set={pair}" for pair in Q_SETTINGS)
CASES["Asterix-MinAtar"] = Q_CASE  # the memory fills, wraps, and is read back


@pytest.mark.slow
@pytest.mark.parametrize("env_id", CASES)
def test_a_killed_run_resumes_bit_for_bit(env_id, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    arguments = ("train", "--env", env_id, *CASES[env_id])
    process = start(*arguments, "--out", str(whole))
    assert process.communicate()[1] is not None and process.returncode == 0
    config = RunConfig.load(whole)
    last = read_metrics(whole)[-1]["update"]
    process = start(*arguments, "--out", str(killed))
    wait_for_update(killed, config.checkpoint_every + 1, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process = start("train", "--resume", str(killed))
    errors = process.communicate()[1].decode()
    assert process.returncode == 0, errors[-2000:]
    for a, b in zip(leaves(whole, config), leaves(killed, config), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [row["update"] for row in read_metrics(killed)] == list(range(1, last + 1))
    assert read_metrics(killed) == read_metrics(whole)


@pytest.mark.slow
def test_ctrl_c_saves_and_resume_goes_on(tmp_path):
    run = tmp_path / "run"
    arguments = ("--num-envs", "8", "--num-steps", "32", "--checkpoint-every", "100000", "--steps", "1e8")
    process = start("train", "--env", "Breakout-MinAtar", *arguments, "--out", str(run))
    wait_for_update(run, 3, process)
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1].decode()
    saved = read_metrics(run)[-1]["update"]
    assert process.returncode == 130 and f"stopped after {saved} of " in errors, errors[-2000:]
    checkpoints = Checkpoints(run)
    assert checkpoints.updates() == [saved]
    checkpoints.close()
    process = start("train", "--resume", str(run))
    wait_for_update(run, saved + 1, process)
    process.kill()
    process.wait()
