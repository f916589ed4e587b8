"""The frame of all experiments: parts done once, reports, and command lines that answer."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import scale, training
from experiments.claims import Table, above, both, decimals, highest, judge, most, render, shown
from experiments.pictures import write_pictures
from experiments.scale import Experiment, as_typed, begin, launch
from experiments.training import last_games

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "experiments").glob("*/*.py")
    if "launch(main, __file__)" in path.read_text()
)


def test_every_experiment_answers_help():
    """All in one process, since each start of Python costs more than its `--help`; none of them may load jax for it."""
    program = f"""
import runpy, sys
for module in {MODULES!r}:
    sys.argv = [module, "--help"]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        assert end.code in (0, None), (module, end.code)
    assert "jax" not in sys.modules, module + " loads jax to say --help"
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("--scale") >= len(MODULES)


def test_a_part_is_made_once_and_a_killed_one_goes_on(tmp_path):
    made = []

    def main(at, stop=False):
        first = at.part("first", lambda: made.append(1) or {"x": [1, 2]})
        if stop:
            raise KeyboardInterrupt
        second = at.part("deep/second", lambda: made.append(2) or 3)
        at.report("Title", [judge("Table 1", "a|b", True, "1 > 0")], [Table("t", ("n",), [(1234,)])], ["p.png"])
        return first, second

    with pytest.raises(KeyboardInterrupt):
        begin(main, tmp_path, "smoke", "command", stop=True)
    assert begin(main, tmp_path, "smoke", "command") == ({"x": [1, 2]}, 3) and made == [1, 2]
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["claims"][0]["verdict"] == "reproduced" and found["scale"] == "smoke"
    assert "| a\\|b | Table 1 | **reproduced** | 1 > 0 |" in (tmp_path / "report.md").read_text()
    assert not list(tmp_path.rglob("*.half"))
    with pytest.raises(ValueError, match="holds results of scale smoke, this is paper"):
        begin(main, tmp_path, "paper", "command")
    with pytest.raises(ValueError, match="holds results of scale smoke, this is smoke on atari"):
        begin(main, tmp_path, "smoke", "command", "atari")


def test_what_is_chosen_at_each_scale():
    minatar, atari, paper = (Experiment(*how) for how in (("smoke", Path(), "c"), ("smoke", Path(), "c", "atari"),
                                                          ("paper", Path(), "c")))  # fmt: skip
    assert [at.choose(1, 3, 2) for at in (minatar, atari, paper)] == [1, 2, 3]
    assert [at.choose(1, 3) for at in (minatar, atari, paper)] == [1, 1, 3]
    assert [at.atari for at in (minatar, atari, paper)] == [False, True, True]


def test_a_part_that_was_stopped_counts_its_seconds(tmp_path):
    def stopped():
        raise KeyboardInterrupt

    at = Experiment("smoke", tmp_path, "command")
    with pytest.raises(KeyboardInterrupt):
        at.part("p 0.5", stopped)
    (tmp_path / "parts" / "p 0.5.spent").write_text("100.0")
    assert at.part("p 0.5", lambda: 1) == 1 and at.seconds() >= 100
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["p 0.5.json"]


def test_a_part_within_a_part_counts_once(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(scale, "time", SimpleNamespace(monotonic=lambda: now[0]))
    at = Experiment("smoke", tmp_path, "command")

    def takes(seconds, stop=False):
        now[0] += seconds
        if stop:
            raise KeyboardInterrupt

    def outer(stop):
        takes(1.0)
        at.part("inner", lambda: takes(4.0, stop))
        takes(2.0)

    with pytest.raises(KeyboardInterrupt):
        at.part("outer", lambda: outer(True))
    assert at.seconds() == 5.0
    at.part("outer", lambda: outer(False))
    assert at.seconds() == now[0] == 12.0


def test_a_stop_on_request_is_told_without_a_traceback(tmp_path, monkeypatch, capsys):
    def main(at):
        raise KeyboardInterrupt("the training was stopped")

    monkeypatch.setattr("rljax_viz.cli.settle_process", lambda: None)
    monkeypatch.setattr(sys, "argv", ["experiment", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        launch(main, __file__)
    assert end.value.code == 130 and "the training was stopped" in capsys.readouterr().err


def test_what_cannot_be_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    def main(at):
        raise ValueError("no such game: leave it out")

    monkeypatch.setattr("rljax_viz.cli.settle_process", lambda: None)
    monkeypatch.setattr(sys, "argv", ["experiment", "--out", str(tmp_path), "--games", "atari"])
    with pytest.raises(SystemExit) as end:
        launch(main, __file__)
    assert end.value.code == 2
    assert capsys.readouterr().err == "experiments.experiments.test_scale: no such game: leave it out\n"
    kept = json.loads((tmp_path / "scale.json").read_text())
    told = f"python -m experiments.experiments.test_scale --scale smoke --games atari --out {tmp_path}"
    assert kept == {"scale": "smoke on atari", "command": told}


def test_the_command_of_a_report_repeats_the_run(tmp_path, monkeypatch):
    def main(at, *, gaze: Path | None = None, most_steps: int | None = None, film: bool = True, tiny: bool = False):
        at.report("Title", [])

    monkeypatch.setattr("rljax_viz.cli.settle_process", lambda: None)
    out = tmp_path / "two words"
    typed = ["--scale", "smoke", "--out", str(out), "--gaze", "people's", "--most-steps", "7", "--no-film", "--tiny"]
    monkeypatch.setattr(sys, "argv", ["experiment", *typed])
    launch(main, __file__)
    command = json.loads((out / "report.json").read_text())["command"]
    assert f"Command: `{command}`" in (out / "report.md").read_text()
    assert shlex.split(command) == ["python", "-m", "experiments.experiments.test_scale", *typed]
    assert as_typed("m", main, scale="paper", games="minatar", out=None, film=True) == "python -m m --scale paper"


def test_a_tiny_run_judges_no_claim(tmp_path):
    def main(at, *, tiny=False):
        at.report("Title", [judge("s", "t", holds, "e") for holds in (True, False)], notes=["A note."])

    for tiny in (True, False):
        begin(main, tmp_path / str(tiny), "smoke", "command", tiny=tiny)
    found = json.loads((tmp_path / "True" / "report.json").read_text())
    assert [claim["verdict"] for claim in found["claims"]] == ["beyond this scale"] * 2 and found["scale"] == "tiny smoke"
    text = (tmp_path / "True" / "report.md").read_text()
    assert "Scale: tiny smoke" in text and "no claim is judged" in text and "A note." in text
    text = (tmp_path / "False" / "report.md").read_text()
    assert "1 reproduced, 1 not reproduced" in text and "tiny" not in text


def test_the_report_counts_its_verdicts():
    claims = [judge("s", "t", holds, "e") for holds in (True, False, None, None)]
    text = render("T", "smoke", "c", 3.2, claims, notes=["A note."])
    assert "Claims: 1 reproduced, 1 not reproduced, 2 beyond this scale." in text and text.endswith("A note.\n")
    assert [shown(x) for x in (1686693, 0.123456, None, float("nan"), "a")] == ["1,686,693", "0.1235", "-", "-", "a"]


def test_the_mean_of_the_last_games():
    counts, returns = [0, 2, 1, 3], [np.nan, 4.0, 1.0, 2.0]
    np.testing.assert_allclose(last_games(counts, returns, 100), [np.nan, 4, 3, 2.5])
    np.testing.assert_allclose(last_games(counts, returns, 4), [np.nan, 4, 3, (3 * 2 + 1) / 4])


def test_the_best_games_of_a_training(monkeypatch):
    lines = [(np.array([2, 2, 2]), np.array([9.0, 1, 5])), (np.array([0, 1, 1]), np.array([np.nan, 4.0, 6]))]
    monkeypatch.setattr(training, "read_games", lambda folder: lines)
    monkeypatch.setattr("rljax_viz.runs.read_metrics", lambda folder: [{"steps": k} for k in range(3)])
    assert training.best("run", window=4) == [5.0, 5.0]  # the 9 is of two games alone; of the other seed only two ended


def test_a_training_says_where_it_is(monkeypatch):
    clock = iter([0.0, 1.0, 20.0, 20.0, 21.0])
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    said = []
    watch = training._every(15.0, said.append)
    for update, returns in ((1, None), (2, [1.0, None]), (3, 2.0)):
        watch(SimpleNamespace(update=update, num_updates=4, steps=1000 * update, row={"return": returns}))
    assert said == ["  2,000 steps, 50%, mean return 1"]


def test_pictures_stand_in_labelled_rows(tmp_path):
    cell = np.zeros((10, 10, 3), np.uint8)
    rows = {"first": {"a": cell, "b": cell}, "second row": {"a": cell}}
    name = write_pictures(tmp_path / "new" / "p.png", rows, "A title", "A foot.", {"ball": (255, 0, 0)})
    assert name == "p.png" and (tmp_path / "new" / name).stat().st_size > 1_000


def test_what_was_not_measured_is_no_answer():
    nan = float("nan")
    assert above(2, 1) is True and above(1, 2) is False and above(1, 1) is False
    assert [above(nan, 1), above(1, nan), above(None, 1), above(1, None)] == [None] * 4
    assert highest("a", {"a": 2, "b": 1, "c": nan}) is True and highest("a", {"a": 1, "b": 2, "c": None}) is False
    assert highest("a", {"a": nan, "b": 1}) is None and highest("a", {"a": 1, "b": nan}) is None
    assert most([True, None, None]) is True and most([True, False, None]) is False and most([None, None]) is None
    assert most([]) is None
    assert [decimals(nan), decimals(None), decimals(1.234)] == ["not measured", "not measured", "1.23"]
    assert [both(True, None), both(None, False), both(True, True), both(True, False)] == [None, False, True, False]
