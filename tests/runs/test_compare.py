"""Methods against each other on a recording, and a network's attention against them."""

import json

import numpy as np
import pytest
from scipy import stats

from rljax_viz.explain import METHODS, attention_map, scores
from rljax_viz.images import upsample
from rljax_viz.networks import ATTENTION
from rljax_viz.runs import compare_run, load_agent, make_config, open_run, record, train_run
from rljax_viz.store import Episodes
from tests.runs.conftest import TINY


def test_every_method_against_every_other(explained):
    agent = load_agent(explained)
    found = compare_run(agent, explained, ["gradient", "grad_cam", "smooth_grad"], frames=5)
    assert [(one.left, one.right) for one in found] == [
        ("gradient", "grad_cam"), ("gradient", "smooth_grad"), ("grad_cam", "smooth_grad"),
    ]  # fmt: skip
    assert all((one.frames == 5 and -1 <= one.pearson <= 1) or one.undefined == 5 for one in found)
    written = json.loads((explained / "compare.json").read_text())
    assert written["checkpoint"] == agent.checkpoint and written["pairs"][1]["left"] == "gradient"
    run, rows = open_run(explained), np.array(written["rows"])
    gradient, cam = (run.maps(name, score="value")[rows] for name in ("gradient", "grad_cam"))
    sized = [np.asarray(upsample(np.abs(map), (10, 10))) for map in cam]
    pairs = [(np.abs(a).ravel(), b.ravel()) for a, b in zip(gradient, sized, strict=True) if np.ptp(a) and np.ptp(b)]
    assert found[0].undefined == 5 - len(pairs)
    for got, metric in ((found[0].pearson, stats.pearsonr), (found[0].spearman, stats.spearmanr)):
        np.testing.assert_allclose(got, np.mean([metric(*pair)[0] for pair in pairs]), atol=1e-3)


@pytest.mark.slow
def test_built_in_attention_against_methods(tmp_path, monkeypatch):
    run = train_run(make_config("Breakout-MinAtar", "ppo", network="minatar-daqn", **TINY), tmp_path / "run")
    agent = load_agent(run)
    record(agent, run, 1, seed=3)
    some = ("gradient", "grad_cam", "input_x_gradient")
    monkeypatch.setattr("rljax_viz.runs.compare.METHODS", {name: METHODS[name] for name in some})
    found = compare_run(agent, run, frames=6)
    assert [(one.left, one.right) for one in found] == [("attention_map", name) for name in some]
    episodes = Episodes(run / "episodes.zarr")
    rows = json.loads((run / "compare.json").read_text())["rows"]
    obs = np.asarray(episodes.observations[rows])
    attention = attention_map(agent.f, **ATTENTION["minatar-daqn"], size=(10, 10))
    left = [np.asarray(attention(agent.params, one), np.float64).ravel() for one in obs]
    for one in found:
        explain = METHODS[one.right].factory(agent.f, scores.value, **({"layer": "conv1"} if one.right == "grad_cam" else {}))
        maps = [np.asarray(explain(agent.params, frame)) for frame in obs]
        maps = [np.abs(map.sum(-1) if map.ndim == 3 else map) for map in maps]
        right = [np.asarray(upsample(map, (10, 10)), np.float64).ravel() for map in maps]
        pairs = [(a, b) for a, b in zip(left, right, strict=True) if np.ptp(a) > 1e-6 and np.ptp(b) > 1e-12]
        assert one.frames == len(rows) and one.undefined == len(rows) - len(pairs) < len(rows)
        for got, metric in ((one.pearson, stats.pearsonr), (one.spearman, stats.spearmanr)):
            np.testing.assert_allclose(got, np.mean([metric(*pair)[0] for pair in pairs]), atol=5e-3)


def test_what_cannot_be_compared_is_refused(explained):
    agent = load_agent(explained)
    with pytest.raises(ValueError, match="minatar has no attention of its own: name methods to compare"):
        compare_run(agent, explained)
    with pytest.raises(ValueError, match=r"two or more: got \['gradient'\]"):
        compare_run(agent, explained, ["gradient"])
