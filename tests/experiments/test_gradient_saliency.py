"""Gradient saliency: its measures on arrays of known answer, and (long) the tiniest setting of every table."""

import json
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.claims import Table, judge
from experiments.gradient_saliency import agents, entrance, grid, normalisation, table1, table2, table3, table4, targets
from experiments.scale import Experiment, begin
from rljax_viz.runs import read_metrics


def test_normalisation_over_frames_hides_how_strong_a_frame_is():
    maps = np.random.default_rng(0).normal(size=(8, 12, 12)) * np.arange(1, 9)[:, None, None]
    frame, video = (normalisation.strengths(x) for x in (normalisation.over_frames(maps), normalisation.over_video(maps)))
    assert np.ptp(frame) < 0.3 * frame.mean() and np.corrcoef(video, np.arange(8))[0, 1] > 0.95
    x = normalisation.over_video(100 * maps)
    np.testing.assert_allclose(x, normalisation.over_video(maps), atol=1e-9)
    np.testing.assert_allclose(x.std(), 0.1, rtol=1e-3)
    assert normalisation.flashing(np.ones((3, 2, 2))) == 0


def test_rings_and_neighbourhoods():
    mask = np.zeros((1, 9, 9), bool)
    mask[0, 4, 4] = True
    assert grid.ring(mask, 0, 1).sum() == 8 and grid.ring(mask, 1, 2).sum() == 16
    maps = np.zeros((1, 9, 9))
    maps[0, 3:6, 3:6] = table3.LAPLACIAN
    window = table3.around(maps, mask, 1)
    np.testing.assert_allclose(window / window[1, 1] * 4, table3.LAPLACIAN)
    assert table3.on(maps, mask) > 0 > table3.on(maps, grid.ring(mask, 0, 1))


def test_features_are_what_moves():
    obs = np.zeros((6, 20, 20, 4), np.uint8)
    obs[:, 15] = 200  # stands still
    for t in range(6):
        for k in range(4):
            obs[t, 5, max(t - 3 + k, 0), k] = 255
    mask = grid.features(obs, 1)
    assert mask[1:].sum((1, 2)).tolist() == [1] * 5 and all(mask[t, 5, t] for t in range(1, 6))
    planes = np.zeros((2, 10, 10, 4), np.uint8)
    planes[0, 9, 3, 0] = planes[1, 4, 4, 1] = planes[1, 2, 2, 3] = 255  # paddle, ball, brick
    assert [tuple(p) for p in np.argwhere(grid.features(planes, 4))] == [(0, 9, 3), (1, 4, 4)]
    assert table2.own_figure("Breakout-MinAtar", planes).sum() == 1 and table2.own_figure("Seaquest-v5", planes) is None


def test_edges_and_likeness():
    frame = np.zeros((1, 6, 6, 1), np.uint8)
    frame[0, :, 3:] = 10
    edges = table4.edges(frame, 1)
    assert (edges[0, :, 2:4] == 10).all() and edges[0, :, [0, 1, 4, 5]].sum() == 0
    assert table4.alike(edges, -edges) == pytest.approx(1) and np.isnan(table4.alike(edges, edges * 0))


def test_the_sum_of_q_is_the_value_s_gradient_and_a_sure_policy_has_none():
    weights = jax.random.normal(jax.random.key(0), (5, 4, 4, 1))

    def f(params, obs):
        from rljax_viz.networks import Output

        advantage = jnp.tanh(jnp.tensordot(params, obs, 3))
        value = (obs**2).sum()
        logits = jnp.array([20.0, 0, 0, 0, 0]) + advantage
        return Output(q=value + advantage - advantage.mean(), value=value, logits=logits)

    obs = np.random.default_rng(0).uniform(0.1, 1, (3, 4, 4, 1)).astype(np.float32)
    assert targets.sum_of_q(f, weights, obs)["difference"] < 1e-5
    found = targets.behind_softmax(f, weights, obs, np.zeros(3, np.int32))
    assert found["sure frames"] == 3 and found["sure"] < 1e-3


def test_past_frames_of_an_agent_that_remembers():
    from rljax_viz import networks
    from rljax_viz.runs import load_agent

    net, shown = networks.make("minatar-lstm", 3), load_agent("zoo:Breakout-MinAtar")
    obs = np.random.default_rng(0).integers(0, 2, (14, *shown.obs_shape), dtype=np.uint8) * 255
    params = net.init(jax.random.key(0), obs[0])
    agent = shown._replace(f=net.apply, params=params, network="minatar-lstm")
    assert [cell.past for cell in grid.table3(agent)] == list(range(10))
    seen = grid.Seen(obs, np.zeros(14, np.int32), np.isin(np.arange(14), (0, 6)))
    cells = [grid.Cell("gradient", "value", None, past) for past in (0, 2, 5)]
    found = grid.maps(agent, cells, seen)

    def value(frame, row, at):  # the game again from its beginning, with one frame given
        memory = None
        for t in range(6, row + 1):
            out = net.apply(params, frame if t == at else obs[t].astype(np.float32), memory)
            memory = out.carry
        return out.value

    for cell in cells:
        want = jax.jit(jax.grad(value), static_argnums=(1, 2))(obs[12 - cell.past].astype(np.float32), 12, 12 - cell.past)
        np.testing.assert_allclose(found[cell][12], want.sum(-1), atol=1e-5 * np.abs(want).max())
    assert not found[cells[2]][6:11].any() and found[cells[2]][11].any()  # they begin with the game


def agent_with(layers, remembers=False, **heads):
    """What `grid` asks of an agent."""
    from rljax_viz.networks import Output

    tags = {name: jax.ShapeDtypeStruct((4, 4, 2), jnp.float32) for name in layers}
    out = Output(**{name: jnp.zeros(shape) for name, shape in heads.items()})
    preset = SimpleNamespace(stack=4)
    return SimpleNamespace(f=lambda params, obs: out, params={}, obs_shape=(8, 8, 4), layers=tags, preset=preset,
                           remembers=remembers)  # fmt: skip


def test_the_paper_s_figures_are_cells_of_the_grid():
    dueling = agent_with(("conv1", "conv2", "conv3"), q=(3,), value=(), advantage=(3,))
    cells = {cell.label for cell in grid.table2(dueling)}
    assert {f"{m} {s}" for m in agents.GRADIENTS for s in ("value", "advantage:chosen")} <= cells  # 8, 9, 13-16
    assert {f"{m} q:chosen conv{n}" for m in agents.CAMS for n in (2, 3)} <= cells  # 33-40
    assert not any("value conv" in label for label in cells)
    actor_critic = agent_with(("conv1", "conv2"), logits=(3,), value=())
    cells = {cell.label for cell in [*grid.table1(actor_critic), *grid.table2(actor_critic)]}
    for score in ("logit:chosen", "value"):  # 49-78
        assert {f"gradient {score}", f"guided_backprop {score}"} | {f"{m} {score} conv1" for m in agents.CAMS} <= cells


def kept(folder, title, parts, **report):
    (folder / "parts").mkdir(parents=True)
    for name, value in parts.items():
        (folder / "parts" / f"{name}.json").write_text(json.dumps({"seconds": 1, "value": value}))
    claims = [judge("4.1", "maps < noise & more", True, "1 < 2")._asdict()]
    table = Table("t", ("agent", "n"), [("a", 0.123456)])._asdict()
    text = {"title": title, "scale": "smoke", "command": "c", "claims": claims, "tables": [table], **report}
    (folder / "report.json").write_text(json.dumps(text))


def test_one_page_leads_to_all_of_the_grid(tmp_path):
    from PIL import Image

    one = {"page": "Seaquest-v5-a3c-lstm.html", "pictures": {"layers": "a b.png"}, "cells": ["grad_cam value conv1 t-2"]}
    early = {"page": "early.html", "update": 3, "returns": [float("nan"), 12.5]}
    kept(tmp_path / "table1", "Gradient saliency, Table 1", {"Seaquest-v5-a3c-lstm": one, "untrained-dueling": {}})
    kept(tmp_path / "table4", "Gradient saliency, Table 4", {"Seaquest-v5-a3c-lstm": early}, scale="tiny smoke")
    kept(tmp_path / "other", "Another paper", {})
    Image.new("RGB", (900, 300)).save(tmp_path / "table1" / "a b.png")
    at = Experiment("smoke", tmp_path / "table4", "c")
    text = entrance.write_index(at).read_text()
    for word in ("table1/Seaquest-v5-a3c-lstm.html", "table1/a%20b.png", "table4/early.html", "table1/report.md", "conv1",
                 "t-2", "data:image/webp;base64,", "A3C with LSTM", "after update 3, return - of 12.5", "0.1235",
                 "1 reproduced", "maps &lt; noise &amp; more", "A tiny run"):  # fmt: skip
        assert word in text, word
    assert "Another paper" not in text and "<script" not in text and 'src="http' not in text
    assert entrance.kind_and_game("Breakout-v5-ppo-atari") == ("ppo-atari", "Breakout-v5")
    (tmp_path / "index.html").write_text("somebody's own")
    assert entrance.write_index(at) is None and (tmp_path / "index.html").read_text() == "somebody's own"


@pytest.mark.slow
def test_the_early_network_of_the_paper_s_scale_is_the_training_done_again(tmp_path, monkeypatch):
    setting = {"num_envs": 4, "num_steps": 32, "num_minibatches": 2, "checkpoint_every": 8, "network": "minatar-sparse"}
    kind = agents.Kind("PPO", "ppo", games=("Breakout-MinAtar",), steps=16 * 128, paper=setting)
    monkeypatch.setattr(agents, "KINDS", {"ppo": kind})
    monkeypatch.setattr(agents, "EARLY_STEPS", 5 * 128)
    at = Experiment("paper", tmp_path / "table4", "command")
    run, update = agents.early_run(at, "ppo", "Breakout-MinAtar", False)
    rows, whole = read_metrics(run), read_metrics(agents.run_of(at, "ppo", "Breakout-MinAtar"))
    assert update == 5 and len(whole) == 16 and agents.available(at) == ["ppo"]
    told = lambda row: {name: row[name] for name in ("update", "steps", "episodes", "return", "policy_loss")}  # noqa: E731
    assert [told(row) for row in rows] == [told(row) for row in whole[:5]]
    assert agents.early_run(at, "ppo", "Breakout-MinAtar", False) == (run, 5)  # done once


@pytest.mark.long
@pytest.mark.parametrize("games", ["minatar", "atari"])
def test_every_table_runs(tmp_path, games):
    for module in (table1, table2, table3, table4, normalisation, targets):
        name = module.__name__.rpartition(".")[2]
        begin(module.main, tmp_path / name, "smoke", "command", games, tiny=True)
        text = (tmp_path / name / "report.md").read_text()
        assert "reproduced" in text
    page = (tmp_path / "table1" / "Breakout-v5-ppo-atari.html").read_text()
    assert "guided_backprop of frame t-3" in page
    assert list((tmp_path / "table4").glob("*.png"))
    index = (tmp_path / "index.html").read_text()
    links = re.findall(r'href="((?!http)[^"]+)"', index)
    made = [path for name in ("table1", "table4") for path in (tmp_path / name).glob("*.html")]
    assert all((tmp_path / link).exists() for link in links) and len(made) > 2
    assert {path.relative_to(tmp_path).as_posix() for path in made} <= set(links) and index.count("<img") > 2 * len(made)
    early = next((tmp_path / "table4").glob("*.html")).read_text()
    assert "Early guided backprop" in early and "Trained guided backprop" in early
