"""Methods against each other on a recording, and a network's attention against them."""

import json

import numpy as np
import pytest
from scipy import stats

from rljax_viz.images import upsample
from rljax_viz.runs import compare_run, load_agent, open_run


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


def test_what_cannot_be_compared_is_refused(explained):
    agent = load_agent(explained)
    with pytest.raises(ValueError, match="minatar has no attention of its own: name methods to compare"):
        compare_run(agent, explained)
    with pytest.raises(ValueError, match=r"two or more: got \['gradient'\]"):
        compare_run(agent, explained, ["gradient"])
