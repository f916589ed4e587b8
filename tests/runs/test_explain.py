import shutil

import jax
import numpy as np
import pytest

import rljax_viz
from rljax_viz.explain import METHODS, grad_cam, gradient, last_frame, scores
from rljax_viz.report import Recording
from rljax_viz.runs import explain_run, load_agent, make_explain, report_run
from rljax_viz.runs.page import shortly_before_a_loss, stored_maps
from rljax_viz.store import Episodes


def test_maps_are_those_of_the_method_on_the_stored_frames(explained):
    agent, episodes = load_agent(explained), Episodes(explained / "episodes.zarr")
    run = rljax_viz.open(explained)
    method = gradient(agent.f, scores.value)
    want = jax.vmap(lambda obs: last_frame(method(agent.params, obs), 4))(episodes.observations[:])
    got = run.maps("gradient", score="value")[:]
    np.testing.assert_allclose(got, want, atol=1e-3 * np.abs(want).max())
    want = jax.vmap(grad_cam(agent.f, scores.value, "conv1"), (None, 0))(agent.params, episodes.observations[:])
    got = run.maps("grad_cam", score="value", layer="conv1")[:]
    np.testing.assert_allclose(got, want, atol=1e-3 * max(np.abs(want).max(), 1e-9))
    np.testing.assert_array_equal(run.maps("grad_cam")[3], got[3])


def test_what_is_there_is_not_computed_again(explained):
    done = explain_run(load_agent(explained), explained, ["gradient"], ["value"])
    assert done[0].skipped == done[0].frames == len(Episodes(explained / "episodes.zarr"))


def test_chosen_rows_only(explained):
    rows = np.array([0, 1, 5])
    agent = load_agent(explained)
    explain_run(agent, explained, ["deconvnet"], ["logit:chosen"], rows=rows)
    maps = rljax_viz.open(explained).maps("deconvnet", score="logit:chosen")
    np.testing.assert_array_equal(np.flatnonzero(maps.done), rows)
    episodes = Episodes(explained / "episodes.zarr")
    one = make_explain(agent, "deconvnet", "logit:chosen")(
        agent.params, episodes.observations[5], np.int32(episodes.action[5])
    )
    np.testing.assert_allclose(maps[5], one, atol=1e-3 * np.abs(one).max())
    shutil.rmtree(maps.path)


@pytest.fixture(scope="module")
def everything(explained, tmp_path_factory):
    """Three steps of the run, explained by every method."""
    run = tmp_path_factory.mktemp("everything") / "run"
    shutil.copytree(explained, run, ignore=shutil.ignore_patterns("maps"))
    explain_run(load_agent(run), run, list(METHODS), ["value"], rows=np.array([0, 3, 4]))
    return run


def test_every_method_makes_maps_that_the_page_shows(everything):
    stored = {(m.attributes["method"], m.attributes["score"]): m for m in stored_maps(everything)}
    scores_of = {name: ["logits"] if name in ("sarfa", "counterfactual") else ["value"] for name in METHODS}
    assert set(stored) == {(name, score) for name, of in scores_of.items() for score in of}
    sizes = {"obs": (10, 10), "layer": (8, 8), "grid": (2, 2)}
    for (name, _), maps in stored.items():
        np.testing.assert_array_equal(np.flatnonzero(maps.done), [0, 3, 4])
        assert maps.shape[1:] == sizes[METHODS[name].resolution]
        assert np.isfinite(maps[3]).all() or name == "counterfactual"
        assert maps.attributes["units"] and maps.attributes["key"] == ("0, for all frames" if METHODS[name].random else None)
    text = report_run(everything, video=False)[0].read_text()
    assert all(f'"{name}"' in text for name in METHODS)


def test_random_methods_do_not_depend_on_the_tile(everything):
    agent, rows = load_agent(everything), np.array([0, 3, 4])
    before = rljax_viz.open(everything).maps("smooth_grad", score="value")[3].copy()
    shutil.rmtree(everything / "maps" / "smooth_grad-value.zarr")
    explain_run(agent, everything, ["smooth_grad"], ["value"], rows=rows[1:], tile=1)
    again = rljax_viz.open(everything).maps("smooth_grad", score="value")[3]
    np.testing.assert_allclose(before, again, atol=2e-3 * np.abs(before).max())


def test_bfloat16_by_choice_and_not_mixed(explained):
    half = load_agent(explained, dtype="bfloat16")
    assert half.dtype == "bfloat16" and load_agent(explained).dtype == "float32"
    with pytest.raises(ValueError, match="dtype"):
        explain_run(half, explained, ["gradient"], ["value"])
    with pytest.raises(ValueError, match="float32 or bfloat16"):
        load_agent(explained, dtype="float16")


def test_random_methods_draw_once_for_all_frames_and_by_seed(explained):
    agent, obs = load_agent(explained), np.random.default_rng(0).integers(0, 255, (10, 10, 4), np.uint8)
    explains = [make_explain(agent, "smooth_grad", "value", seed=seed) for seed in (0, 0, 1)]
    first, again, other = (np.asarray(explain(agent.params, obs, np.int32(0))) for explain in explains)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3 * np.abs(first).max()


@pytest.mark.parametrize(("ends", "want"), [([5, 40], 32), ([5], 0), ([16, 20], 8), ([], 24), ([17, 25], 9), ([18, 40], 10)])
def test_the_moment_is_shortly_before_a_loss_and_has_a_past(ends, want):
    rows = np.arange(48)
    recording = Recording(
        obs=np.zeros((48, 4, 4, 1), np.uint8), action=rows * 0, reward=rows * 0.0, terminated=np.isin(rows, ends),
        truncated=rows < 0, episode=np.searchsorted(ends, rows), life_lost=rows < 0,
    )  # fmt: skip
    assert shortly_before_a_loss(recording) == want


def test_wrong_names_are_explained(explained):
    agent = load_agent(explained)
    with pytest.raises(ValueError, match=r"no method 'saliency'\. There are gradient"):
        make_explain(agent, "saliency", "value")
    with pytest.raises(ValueError, match="did you mean 'grad_cam'"):
        make_explain(agent, "gradcam", "value")
    with pytest.raises(ValueError, match="sarfa compares all actions"):
        make_explain(agent, "sarfa", "value")
    with pytest.raises(ValueError, match=r"has no layer 'conv9', did you mean 'conv1'\? it has conv1, fc"):
        make_explain(agent, "grad_cam", "value", "conv9")
    with pytest.raises(ValueError, match="gradient takes no layer"):
        make_explain(agent, "gradient", "value", "conv1")
    with pytest.raises(ValueError, match="no score 'worth'"):
        make_explain(agent, "gradient", "worth")
    with pytest.raises(KeyError, match="has no maps 'deconvnet'"):
        rljax_viz.open(explained).maps("deconvnet")


def test_a_recording_of_another_agent_is_refused(explained):
    agent = load_agent(explained)._replace(checkpoint="another")
    with pytest.raises(ValueError, match=r"this agent is another\. Record its own"):
        explain_run(agent, explained, ["gradient"], ["value"])


def test_the_page_and_the_video_of_a_run(explained):
    page, video = report_run(explained)
    text = page.read_text()
    assert "Breakout-MinAtar" in text and '"grad_cam"' in text and page.stat().st_size < 30e6
    assert video is not None and video.stat().st_size > 1000
    assert (explained / "gallery.png").stat().st_size > 1000


def test_a_run_without_maps_is_explained(trained, tmp_path):
    from rljax_viz.runs import record

    record(load_agent(trained), tmp_path, 1, max_steps=5)
    with pytest.raises(FileNotFoundError, match="holds no finished maps: rljax-viz explain"):
        report_run(tmp_path)
