"""The command line as a user types it; what the commands compute is tested in tests/runs."""

import os
import subprocess
import sys

import pytest

COMMAND = "import sys; from rljax_viz.cli import main; sys.argv[0] = 'rljax-viz'; main()"


def rljax_viz(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    env = {**os.environ, **environment, "COLUMNS": "200"}
    command = [sys.executable, "-c", COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


COMMANDS = ("demo", "train", "play", "explain", "report", "verify", "gaze", "compare", "health", "import", "export", "zoo")
COMMANDS += ("doctor",)


def test_help_names_every_command_and_imports_nothing_heavy():
    out = rljax_viz("--help")
    assert out.returncode == 0 and all(name in out.stdout for name in COMMANDS)
    probe = (
        "import sys\nfrom rljax_viz.cli import main\nsys.argv = ['rljax-viz', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'jax', 'envpool', 'gymnax', 'matplotlib', 'orbax', 'tensorstore', 'flax'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "HEAVY []" in out.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_teaches_itself_with_an_example(command):
    out = rljax_viz(command, "--help")
    assert out.returncode == 0 and f"rljax-viz {command}" in out.stdout.split("Example:")[1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("train", "--env", "Brekout-v5"), "near it: ['Breakout-v5'"),
        (("train", "--env", "Breakout-MinAtar", "--steps", "10"), "steps=10 is less than one update"),
        (("train", "--resume", "/nowhere"), "is not a run"),
        (("train", "--env", "CartPole-v1"), "CartPole-v1 shows [4], and runs learn from frames [H W C]"),
        (("train", "--env", "Breakout-MinAtar", "--steps", "0"), "steps is 0"),
        (("train", "--env", "Breakout-MinAtar", "--steps", "inf"), "--steps is a number of steps, e.g. 3e6; got inf"),
        (("train", "--env", "Breakout-MinAtar", "--num-envs", "0"), "num_envs is 0"),
        (("train", "--env", "Breakout-MinAtar", "--set", "seeds=3"), "has a flag of its own: say --seeds"),
        (("train", "--env", "Breakout-MinAtar", "--epochs", "2", "--set", "epochs=3"), "say --epochs, and once"),
        (("train", "--resume", "/nowhere", "--algo", "dqn", "--seed", "9"), "leave out --algo, --seed"),
        (("play", "zoo:Breakout-MinAtar", "--episodes", "0"), "episodes is 1 or more, got 0"),
        (("play", "zoo:Breakout-MinAtar", "--epsilon", "7"), "epsilon is a part of the actions, 0 to 1, got 7"),
        (("play", "zoo:Breakout-MinAtar", "--overwrite"), "are about recorded games: add --record"),
        (("play", "zoo:Breakout-MinAtar", "--seed-index", "3"), "is one agent: leave out which update or seed"),
        (("health", "zoo:Breakout-MinAtar", "--frames", "0"), "frames is 1 or more, got 0"),
        (("play", "zoo:nobody"), "the zoo has no agent 'nobody'"),
        (("explain", "/nowhere", "--method", "gradient", "--score", "value"), "is not a run"),
        (("explain", "zoo:Pong-v5", "--method", "gradient", "--score", "value"), "is an agent: rljax-viz play zoo:Pong-v5"),
        (("explain", "/nowhere", "--score", "value"), "say what to explain: --method NAME (or --methods A,B,C"),
        (("gaze", "zoo:Breakout-v5", "/nowhere", "--method", "gradient", "--score", "value"), "holds no <trial>_*.tar.bz2"),
        (("compare", "/nowhere"), "is not a run"),
        (("verify", "/nowhere"), "holds neither episodes.zarr nor maps"),
        (("import", "/nowhere.npz", "/tmp/x", "--env", "Pong-v5"), "nothing at /nowhere.npz"),
        (("import", "/nowhere.npz", "/tmp/x", "--env", "Mine"), "say how it was shown: --preset plain"),
        (("export", "/nowhere", "x.npz"), "no episodes store at /nowhere/episodes.zarr"),
        (("report", "/nowhere"), "/nowhere"),
    ],
)
def test_a_wrong_input_is_one_sentence_and_exit_2(arguments, message, tmp_path):
    out = rljax_viz(*arguments, *(("--out", str(tmp_path / "x")) if arguments[1] == "--env" else ()))
    assert out.returncode == 2 and message in out.stderr, out.stderr
    assert "Traceback" not in out.stderr and len(out.stderr.strip().splitlines()) == 1


def test_a_narrow_screen_cuts_no_number(capsys):
    from rljax_viz.runs import GazeScore
    from rljax_viz.runs.compare import Agreement
    from rljax_viz.screen import print_agreement, print_gaze

    long = "layer_integrated_gradients"
    print_gaze([GazeScore("mean", long, "log_prob:chosen", 12345, (1.234, -0.567, 0.891), (1234, 2345, 3456))])
    told = capsys.readouterr().out
    assert all(word in told for word in ("12345", "1.234", "-0.567", "0.891", "1234/2345/3456", "undefined", "sAUC"))
    print_agreement([Agreement(long, "expected_gradients", 12345, -0.123, 0.456, 789)])
    told = capsys.readouterr().out
    assert all(word in told for word in ("12345", "-0.123", "0.456", "789", "undefined", "Spearman"))
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.slow
def test_doctor_finds_this_machine_well():
    out = rljax_viz("doctor")
    assert out.returncode == 0, out.stdout + out.stderr
    for what in ("envpool (Atari)", "gymnax (MinAtar)", "convolutions", "video"):
        assert what in out.stdout


@pytest.mark.slow
def test_a_new_user_goes_from_training_to_the_page(tmp_path):
    run = tmp_path / "run"
    steps = (
        ("train", "--env", "Breakout-MinAtar", "--steps", "20000", "--out", str(run)),
        ("play", str(run), "--episodes", "2", "--record"),
        ("explain", str(run), "--method", "guided_backprop", "--method", "grad_cam", "--score", "value"),
        ("report", str(run)),
        ("play", str(run), "--episodes", "4"),
    )
    for arguments in steps:
        out = rljax_viz(*arguments)
        assert out.returncode == 0, f"{arguments}: {out.stdout}{out.stderr}"
    assert (run / "report.html").stat().st_size > 10_000 and (run / "saliency.mp4").exists()
    assert "return" in out.stdout
