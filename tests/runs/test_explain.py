import shutil

import jax
import numpy as np
import pytest

import rljax_viz
from rljax_viz.explain import METHODS, grad_cam, gradient, last_frame, scores
from rljax_viz.runs import explain_run, load_agent, make_explain, report_run
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


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_map_the_page_can_show(explained, method):
    agent = load_agent(explained)
    shape = jax.eval_shape(make_explain(agent, method, "value"), agent.params, np.zeros((10, 10, 4), np.uint8), 0).shape
    assert len(shape) == 2 and shape in ((10, 10), (8, 8))


def test_wrong_names_are_explained(explained):
    agent = load_agent(explained)
    with pytest.raises(ValueError, match="no method 'saliency'; there are gradient"):
        make_explain(agent, "saliency", "value")
    with pytest.raises(ValueError, match="has no layer 'conv9'; it has conv1, fc"):
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
