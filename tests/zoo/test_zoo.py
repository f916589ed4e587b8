"""What ships is what its card says: weights, hash, network, view of the game."""

import jax
import numpy as np
import pytest
from safetensors import safe_open

from rljax_viz import zoo
from rljax_viz.envs import Preset, make_preset
from rljax_viz.runs import evaluate, load_agent


def test_the_zoo_is_not_empty():
    assert "Breakout-MinAtar" in zoo.names()


@pytest.mark.parametrize("name", zoo.names())
def test_an_agent_is_what_its_card_says(name):
    card = zoo.card(name)
    agent = load_agent(f"zoo:{name}")
    assert agent.checkpoint == card["checkpoint"]
    assert card["score"]["episodes"] >= 30 and card["command"].startswith("rljax-viz train")
    assert len(card["commit"]) == 40 and card["steps"] > 0
    assert Preset.from_json(card["preset"]).env_id == card["env_id"]
    path = zoo._HERE / f"{name}.safetensors"
    assert path.stat().st_size < 8 << 20
    with safe_open(path, "numpy") as file:
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}
    obs = np.zeros(agent.obs_shape, np.uint8)
    out = agent.f(agent.params, obs)
    head = out.q if out.logits is None else out.logits
    assert head.shape == (len(card["action_names"]),) and np.isfinite(head).all()


def test_the_minatar_agent_plays_as_well_as_its_card_says():
    card, agent = zoo.card("Breakout-MinAtar"), load_agent("zoo:Breakout-MinAtar")
    result = evaluate(agent, 30, seed=card["score"]["evaluation_seed"])
    # the same games; another processor may round a logit differently and change some of them
    assert abs(result.returns.mean() - card["score"]["mean"]) <= card["score"]["std"]


def test_an_agent_is_not_shown_another_game():
    agent = load_agent("zoo:Breakout-MinAtar")
    with pytest.raises(ValueError, match=r"zoo:Breakout-MinAtar was trained on another view .* --env Breakout-MinAtar"):
        agent.make_env(1, preset=make_preset("plain", "Freeway-MinAtar"))


def test_weights_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="do not fit into float16"):
        zoo.write_agent(tmp_path, "x", {"w": np.array([1e6])}, {})


def test_float16_weights_survive_the_file(tmp_path):
    weights = {"a/kernel": np.asarray(jax.random.normal(jax.random.key(0), (3, 4)))}
    path = zoo.write_agent(tmp_path, "x", weights, {"name": "x"})
    from safetensors.numpy import load_file

    back = load_file(path.with_suffix(".safetensors"))
    np.testing.assert_array_equal(back["a/kernel"], weights["a/kernel"].astype(np.float16))
