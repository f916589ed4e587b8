"""An agent against a trial in which people look where it attends, and against one in which they look elsewhere."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.commands.measuring import gaze
from rljax_viz.explain import gradient, last_frame, scores
from rljax_viz.images import mirror_resize
from rljax_viz.measure import nss
from rljax_viz.measure.atari_head import Trial
from rljax_viz.runs import evaluate_gaze, load_agent, trials_of
from rljax_viz.runs.gaze import GazeScore, _others, over_trials
from tests.measure.test_atari_head import N, frames, write_trial


def test_maps_are_compared_with_the_gaze_of_their_frames(tmp_path):
    agent = load_agent("zoo:Breakout-v5")
    rng = np.random.default_rng(0)
    looks = {n: [(float(x), float(y)) for x, y in rng.uniform((20, 60), (140, 190), (4, 2))] for n in range(5, N + 1)}
    archive = write_trial(tmp_path, frames(), gaze=looks)
    (tmp_path / "meta_data.csv").write_text("TrialNumber,Game\n52,breakout\n")
    (found,) = evaluate_gaze(agent, tmp_path, ["gradient"], ["value"], most_steps=5)
    assert (found.trial, found.method, found.score, found.steps) == (52, "gradient", "value", 5)
    assert found.undefined[0] == 1 and found.undefined[2] == 1  # nobody looks before frame 5
    trial, explain = Trial(archive), gradient(agent.f, scores.value)
    want = []
    for step in list(trial.steps)[1:5]:
        (obs,), (look,) = trial.observations([step]), trial.fixations([step])
        want.append(float(nss(mirror_resize(abs(last_frame(explain(agent.params, obs))), (210, 160)), look)))
    np.testing.assert_allclose(found.means[0], np.mean(want), rtol=1e-3)
    assert 0 <= found.means[2] <= 1 and (np.isnan(found.means[1]) or found.means[1] > 0)
    again = evaluate_gaze(agent, tmp_path, ["gradient"], ["value"], most_steps=5)
    np.testing.assert_array_equal(again[0].means, found.means)
    (noisy,) = evaluate_gaze(agent, tmp_path, ["smooth_grad"], ["value"], most_steps=5)
    assert np.isfinite(noisy.means[0]) and noisy.means[0] != found.means[0]


def test_other_frames_are_all_but_the_own():
    steps, rng = [0, 4, 8, 12], np.random.default_rng(0)
    for k, step in enumerate(steps):
        drawn = {other for _ in range(20) for other in _others(rng, steps, k)}
        assert drawn == {*steps} - {step}
    assert set(_others(rng, [4], 0)) == {4}


def test_trials_of_other_games_and_other_views_are_refused(tmp_path):
    write_trial(tmp_path, frames()[:6])
    (tmp_path / "meta_data.csv").write_text("TrialNumber,Game\n52,seaquest\n")
    with pytest.raises(FileNotFoundError, match=r"no trial of Breakout-v5, by its meta_data\.csv"):
        evaluate_gaze(load_agent("zoo:Breakout-v5"), tmp_path, ["gradient"], ["value"])
    with pytest.raises(ValueError, match="for agents of 84x84x4 Atari frames"):
        evaluate_gaze(load_agent("zoo:Breakout-MinAtar"), tmp_path, ["gradient"], ["value"])


def test_the_table_lies_up_to_two_levels_above_the_trials(tmp_path, monkeypatch):
    folder = tmp_path / "breakout" / "highscore"
    folder.parent.mkdir()
    write_trial(folder, frames()[:2])
    (tmp_path / "meta_data.csv").write_text("GameName,trial_id,total_frame\nbreakout_highscore,52,2\n")
    assert [trial.number for trial in trials_of(folder, "Breakout-v5")[0]] == [52]
    monkeypatch.chdir(folder)
    trials, lengths = trials_of(".", "Breakout-v5")
    assert len(trials) == 1 and lengths == {52: 2}


def test_trials_that_cannot_be_compared_are_named_and_one_is_in_memory_at_a_time(tmp_path, monkeypatch):
    agent = load_agent("zoo:Breakout-v5")
    looks = {n: [(80.0, 100.0)] for n in range(1, 14)}
    names = ["1_A", "2_B", "3_C", "4_D", "5_E", "6_F", "7_G"]
    for name in names:
        write_trial(tmp_path, frames()[:13], name=name, gaze=None if name == "3_C" else looks)
    (tmp_path / "2_B.tar.bz2").write_bytes((tmp_path / "2_B.tar.bz2").read_bytes()[:3000])
    (tmp_path / "4_D.txt").write_text("")
    (tmp_path / "6_F.txt").unlink()
    (tmp_path / "7_G.txt").unlink()
    counts = "".join(f"{n},{15 if n == 5 else 13},{'seaquest' if n == 7 else 'breakout'}\n" for n in range(1, 8))
    (tmp_path / "meta_data.csv").write_text("TrialNumber,NumberOfFrames,Game\n" + counts)
    held, seen = [], []

    def one(agent, trial, steps, *_):
        seen.append(trial)
        held.append(sum("frames" in other.__dict__ for other in {id(one): one for one in seen}.values()))
        return trial.number

    monkeypatch.setattr("rljax_viz.runs.gaze._one", one)
    with pytest.warns(UserWarning) as told:
        found = evaluate_gaze(agent, tmp_path, ["gradient", "grad_cam"], ["value"], most_steps=3)
    assert found == [1, 1, 5, 5] and held == [1, 1, 1, 1] and not any("frames" in trial.__dict__ for trial in seen)
    texts = [str(one.message) for one in told]
    for text in (
        "trial 2 is left out: .*2_B.tar.bz2 cannot be read to its end",
        "trial 3 is left out: .*has no gaze in the first 3 steps",
        "trial 4 is left out: .*4_D.txt is empty",
        "trial 6 is left out: .*6_F.txt is missing",
        r"frames 14 to 15 \(2\) lack pictures",
    ):
        assert [one for one in texts if re.search(text, one)], text
    assert len(texts) == 5


def test_what_cannot_be_checked_or_done_is_said(tmp_path):
    agent = load_agent("zoo:Breakout-v5")
    write_trial(tmp_path / "only", frames()[:6])
    with pytest.raises(ValueError, match="most_steps is 1 or more, got 0"):
        evaluate_gaze(agent, tmp_path, ["gradient"], ["value"], most_steps=0)
    with (
        pytest.warns(UserWarning, match=r"has no meta_data.csv: that its trials \(1\) are of Breakout-v5"),
        pytest.raises(ValueError, match=r"no trial of .* can be compared; trial 52 is left out: .*has no gaze"),
    ):
        evaluate_gaze(agent, tmp_path / "only", ["gradient"], ["value"])
    (tmp_path / "meta_data.csv").write_text("TrialNumber,Game\n52,seaquest\n")
    with pytest.raises(FileNotFoundError, match="no trial of Breakout-v5"):  # the table lies above the folder of a game
        evaluate_gaze(agent, tmp_path / "only", ["gradient"], ["value"])


def test_programs_are_made_once_for_all_trials_and_blocks(tmp_path, monkeypatch):
    looks = {n: [(80.0, 100.0), (30.0 + n, 150.0)] for n in range(1, N + 1)}
    write_trial(tmp_path / "one", frames(), name="1_A", gaze=looks)
    (tmp_path / "meta_data.csv").write_text("TrialNumber,Game\n1,breakout\n2,breakout\n")
    agent, traced = load_agent("zoo:Breakout-v5"), []

    def count(folder, steps):
        def f(*args):
            traced.append(args)
            return agent.f(*args)

        traced.clear()
        found = evaluate_gaze(agent._replace(f=f), folder, ["gradient"], ["value"], most_steps=steps)
        return len(traced), found

    _, whole = count(tmp_path / "one", 5)
    monkeypatch.setattr("rljax_viz.runs.gaze._BLOCK", 3)
    once, _ = count(tmp_path / "one", 3)
    write_trial(tmp_path / "one", frames(), name="2_B", gaze=looks)
    again, (found, _) = count(tmp_path / "one", 5)  # two trials, of a block and two thirds each
    assert once == again
    np.testing.assert_allclose(found.means, whole[0].means, rtol=1e-5)
    assert found.steps == 5 and found.undefined == whole[0].undefined


def test_means_over_trials_leave_out_what_is_undefined():
    nan = float("nan")
    one = GazeScore(1, "gradient", "value", 3, (1.0, nan, nan), (0, 3, 3))
    two = GazeScore(2, "gradient", "value", 5, (3.0, 0.5, nan), (1, 2, 5))
    assert over_trials([one]) == []
    (mean,) = over_trials([one, two, one._replace(method="grad_cam")])
    assert mean[:4] == ("mean", "gradient", "value", 8) and mean.undefined == (1, 5, 8)
    np.testing.assert_array_equal(mean.means, (2.0, 0.5, nan))


def test_the_table_of_a_run_is_kept_in_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    agent, run = load_agent("zoo:Breakout-v5"), tmp_path / "run"
    run.mkdir()
    for name in ("1_A", "2_B"):
        write_trial(tmp_path / "head", frames()[:9], name=name, gaze={5: [(80.0, 100.0)]})
    (tmp_path / "meta_data.csv").write_text("TrialNumber,Game\n1,breakout\n2,breakout\n")
    monkeypatch.setattr("rljax_viz.runs.load_agent", lambda source, **_: agent)
    means = lambda number: (float(number), float("nan"), 0.5)  # noqa: E731
    one = lambda agent, trial, *_: GazeScore(trial.number, "gradient", "value", 2, means(trial.number), (0, 2, 1))  # noqa: E731
    monkeypatch.setattr("rljax_viz.runs.gaze._one", one)
    gaze(str(run), tmp_path / "head", ["gradient"], ["value"], most_steps=3)
    shown = capsys.readouterr().out
    assert re.search(r"mean *│ gradient *│ value *│ 4 *│ 1.500 │ nan *│ 0.500 ", shown)
    assert f"also in {run}/gaze.json" in shown
    kept = json.loads((run / "gaze.json").read_text())
    assert (kept["agent"], kept["most_steps"]) == (agent.name, 3)
    assert [row["trial"] for row in kept["scores"]] == [1, 2, "mean"]
    assert kept["scores"][2]["nss"] == 1.5 and kept["scores"][2]["kl_divergence"] is None
    assert kept["scores"][2]["undefined"] == {"nss": 0, "kl_divergence": 4, "shuffled_auc": 2}


def test_attention_needs_no_score(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    write_trial(tmp_path, frames()[:13], gaze={n: [(80.0, 100.0)] for n in range(1, 14)})
    (tmp_path / "meta_data.csv").write_text("TrialNumber,Game\n52,breakout\n")
    gaze("zoo:Breakout-v5-fls", tmp_path, ["attention_map"])
    assert re.search(r"52 *│ attention_map *│ attention *│ 3 ", capsys.readouterr().out)
    for methods in ([], ["attention_map", "gradient"]):
        with pytest.raises(ValueError, match="say what to compare"):
            gaze("zoo:Breakout-v5-fls", tmp_path, methods)


def test_an_agent_that_remembers_sees_the_trial_in_order(tmp_path, monkeypatch):
    looks = {n: [(80.0, 100.0), (30.0 + n, 150.0)] for n in range(1, N + 1)}
    trial = Trial(write_trial(tmp_path, frames(), gaze=looks))
    (tmp_path / "meta_data.csv").write_text("TrialNumber,NumberOfFrames,Game\n52,30,breakout\n")
    net = networks.make("a3c-lstm", 4)
    params = net.init(jax.random.key(0), jnp.zeros((84, 84, 1), jnp.uint8))
    stacked = load_agent("zoo:Breakout-v5")
    agent = stacked._replace(
        f=net.apply, params=params, network="a3c-lstm", obs_shape=(84, 84, 1),
        preset=dataclasses.replace(stacked.preset, stack=1),
    )  # fmt: skip
    monkeypatch.setattr("rljax_viz.runs.gaze._BLOCK", 3)  # the memory goes on from block to block
    (found,) = evaluate_gaze(agent, tmp_path, ["gradient"], ["value"], most_steps=5)
    want, memory = [], None
    for step in list(trial.steps)[:5]:
        (obs,), (look,) = trial.observations([step])[..., -1:], trial.fixations([step])
        map = gradient(net.apply, scores.value)(params, obs, memory)
        memory = net.apply(params, obs, memory).carry
        want.append(float(nss(mirror_resize(abs(map[..., 0]), (210, 160)), look)))
    np.testing.assert_allclose(found.means[0], np.mean(want), rtol=1e-3)
