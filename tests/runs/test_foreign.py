"""Agents of other libraries by `module:function`, and CleanRL's checkpoints, against the same networks run by hand."""

import importlib
import re
import sys
from pathlib import Path

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.envs import Preset
from rljax_viz.explain import gradient, scores
from rljax_viz.runs import load_agent
from rljax_viz.runs.mapping import make_explain

COOKBOOK = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text()
OBS = np.random.default_rng(0).integers(0, 256, (84, 84, 4), dtype=np.uint8)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the working directory; gives a function that does."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="strangers"):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        return name

    yield write
    for name in ("strangers", "my_agents"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("library", ["linen", "nnx", "equinox", "haiku", "plain"])
def test_every_library_of_the_cookbook(module, library):
    (text,) = re.findall(r"^`my_agents.py`:\n\n```python\n(.*?)^```", COOKBOOK, re.DOTALL | re.MULTILINE)
    entry = f"{module(text, 'my_agents')}:{library}_agent"
    agent = load_agent(entry)
    assert agent.name == entry and agent.obs_shape == (84, 84, 4) and agent.action_names[0] == "noop"
    assert load_agent(entry).checkpoint == agent.checkpoint and len(agent.checkpoint) == 16
    assert [*agent.layers] == ([] if library == "plain" else ["conv1"])
    f, params, _ = getattr(sys.modules["my_agents"], f"{library}_agent")()
    out, mine = f(params, jnp.asarray(OBS)), agent.f(agent.params, OBS)
    fields = out if isinstance(out, dict) else {k: v for k, v in out._asdict().items() if v is not None}
    for name, value in fields.items():
        np.testing.assert_allclose(getattr(mine, name), value, rtol=1e-4, atol=1e-5)
    head = "logit" if "logits" in fields else "q"

    def by_hand(x):
        out = f(params, x)
        return (out[fields_of(head)] if isinstance(out, dict) else getattr(out, fields_of(head)))[2]

    want = jax.grad(by_hand)(OBS.astype(np.float32))
    got = make_explain(agent, "gradient", f"{head}:2")(agent.params, OBS, np.int32(0))
    np.testing.assert_allclose(got, want[..., -1], rtol=1e-3, atol=1e-4 * np.abs(want).max())


def fields_of(head):
    return {"logit": "logits", "q": "q"}[head]


PLAIN = "import jax.numpy as jnp\nfrom rljax_viz.envs import Preset\n"


@pytest.mark.parametrize(
    ("text", "function", "message"),
    [
        ("def make(): return 3", "make", r"must return \(f, params, preset\), got int"),
        ("def make(): return (lambda p, o: o, {}, 'Pong-v5')", "make", "f returns .*say what it is: networks.Output"),
        ("def make(): return (lambda p, o: {'logit': o}, {}, 'Pong-v5')", "make", r"f returns \['logit'\]; an Output has q"),
        (
            "def make(): return (lambda p, o: {'q': jnp.zeros(4)}, {}, 'Pong-v5')",
            "make",
            "answers for 4 actions, Pong-v5 has 6",
        ),
        ("def make(): return (lambda p, o: {'q': o[None, 0, 0]}, {}, 'Pong-v5')", "make", r"q of ONE observation is \[A\]"),
        (
            "def make(): return (lambda p, o: {'q': o @ jnp.zeros((3, 6))}, {}, 'Pong-v5')",
            "make",
            "channels first, is wrapped",
        ),
        ("def make(): return (lambda p, o: {}, {}, 7)", "make", "preset is an envs.Preset or the id of an environment"),
        ("def make(): return (lambda p, o: {}, {}, Preset('MyGame'))", "make", r"height=84, width=84, grey=True, stack=4"),
        ("make = 3", "make", "make is of type int, expected a function of none: def make"),
        ("def make(seed): pass", "make", "make takes arguments, expected a function of none"),
        ("def make_pong(): pass", "make_pnog", "no function 'make_pnog'; did you mean strangers:make_pong"),
    ],
)
def test_what_is_wrong_is_said(module, text, function, message):
    with pytest.raises(ValueError, match=message):
        load_agent(f"{module(PLAIN + text)}:{function}")


def test_an_output_of_ones_own(module):
    text = """
from typing import NamedTuple
class Mine(NamedTuple):
    logits: object
    value: object
    mood: str = "fine"
def make(): return (lambda p, o: Mine(o[0, :6, 0] * p, o.sum() * p), jnp.float32(3), 'Pong-v5')
"""
    agent = load_agent(f"{module(PLAIN + text)}:make")
    out = agent.f(agent.params, OBS.astype(np.float32))
    np.testing.assert_allclose(out.logits, 3.0 * OBS[0, :6, 0])
    assert out.q is None and out.action is None
    assert make_explain(agent, "gradient", "logit:chosen")(agent.params, OBS, np.int32(0)).shape == (84, 84)


def test_no_such_module_and_no_dtype(module):
    with pytest.raises(ImportError, match=r"run the command where nowhere\.py lies, or install it"):
        load_agent("nowhere:make")
    name = module(PLAIN + "def make(): return (lambda p, o: {'q': jnp.zeros(6) + o.sum()}, {}, 'Pong-v5')")
    with pytest.raises(ValueError, match="leave --dtype out"):
        load_agent(f"{name}:make", dtype="bfloat16")


def test_a_game_of_ones_own(module):
    preset = "Preset('Mine', height=5, width=4, grey=True, stack=2)"
    text = f"def make(): return (lambda p, o: {{'q': o.reshape(-1)[:3] * 2.0}}, {{}}, {preset})"
    agent = load_agent(f"{module(PLAIN + text)}:make")
    assert agent.obs_shape == (5, 4, 2) and agent.action_names == ("0", "1", "2") and isinstance(agent.preset, Preset)
    slope = gradient(agent.f, scores.q(1))(agent.params, jnp.ones((5, 4, 2), jnp.uint8))
    assert slope.reshape(-1)[1] == 2 and slope.sum() == 2


# ------------------------------------------------------------------------------------------------- CleanRL's own networks


class Network(nn.Module):
    """Of ppo_atari_envpool_xla_jax.py, without its initialisers: [N C H W], as envpool gives them."""

    @nn.compact
    def __call__(self, x):
        x = jnp.transpose(x, (0, 2, 3, 1)) / 255.0
        for features, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
            x = nn.relu(nn.Conv(features, kernel_size=(size, size), strides=(stride, stride), padding="VALID")(x))
        return nn.relu(nn.Dense(512)(x.reshape((x.shape[0], -1))))


class Head(nn.Module):
    size: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.size)(x)


class QNetwork(nn.Module):
    """Of dqn_atari_jax.py."""

    @nn.compact
    def __call__(self, x):
        x = jnp.transpose(x, (0, 2, 3, 1)) / 255.0
        x = nn.relu(nn.Conv(32, kernel_size=(8, 8), strides=(4, 4), padding="VALID")(x))
        x = nn.relu(nn.Conv(64, kernel_size=(4, 4), strides=(2, 2), padding="VALID")(x))
        x = nn.relu(nn.Conv(64, kernel_size=(3, 3), strides=(1, 1), padding="VALID")(x))
        x = nn.relu(nn.Dense(512)(x.reshape((x.shape[0], -1))))
        return nn.Dense(4)(x)


FIRST = np.moveaxis(OBS, -1, 0)[None].astype(np.float32)


def test_a_ppo_checkpoint_of_cleanrl(tmp_path):
    keys = jax.random.split(jax.random.key(1), 3)
    body, actor, critic = Network(), Head(4), Head(1)
    params = [body.init(keys[0], FIRST), actor.init(keys[1], jnp.zeros(512)), critic.init(keys[2], jnp.zeros(512))]
    path = tmp_path / "ppo_atari_envpool_xla_jax.cleanrl_model"
    args = {"env_id": "Breakout-v5", "seed": 1, "target_kl": None}
    path.write_bytes(flax.serialization.to_bytes([args, params]))
    agent = load_agent(path)
    assert agent.preset.env_id == "Breakout-v5" and len(agent.action_names) == 4 and agent.network == "nature"
    out, hidden = agent.f(agent.params, OBS), body.apply(params[0], FIRST)
    np.testing.assert_allclose(out.logits, actor.apply(params[1], hidden)[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out.value, critic.apply(params[2], hidden)[0, 0], rtol=1e-4, atol=1e-5)


def test_a_dqn_checkpoint_of_cleanrl(tmp_path):
    net = QNetwork()
    params = net.init(jax.random.key(2), FIRST)
    folder = tmp_path / "BreakoutNoFrameskip-v4__dqn_atari_jax__1__1700000000"
    folder.mkdir()
    path = folder / "dqn_atari_jax.cleanrl_model"
    path.write_bytes(flax.serialization.to_bytes(params))
    agent = load_agent(str(path))
    assert agent.preset.env_id == "Breakout-v5" and agent.network == "nature-q"
    np.testing.assert_allclose(agent.f(agent.params, OBS).q, net.apply(params, FIRST)[0], rtol=1e-4, atol=1e-5)
    moved = tmp_path / "dqn_atari_jax.cleanrl_model"
    path.rename(moved)
    with pytest.raises(ValueError, match="does not name an Atari game: put it back"):
        load_agent(moved)
    folder = tmp_path / "PongNoFrameskip-v4__dqn_atari_jax__1__1700000000"
    folder.mkdir()
    with pytest.raises(ValueError, match="answers for 4 actions, Pong-v5 has 6"):
        load_agent(moved.rename(folder / moved.name))


class Distribution(nn.Module):
    """Of c51_atari_jax.py: [N A atoms], probabilities."""

    actions: int
    atoms: int

    @nn.compact
    def __call__(self, x):
        x = Network()(x)
        x = nn.Dense(self.actions * self.atoms)(x).reshape(-1, self.actions, self.atoms)
        return nn.softmax(x)


def as_one_module(params):
    """The layers as c51_atari_jax.py names them: all in one module."""
    inner = params["params"]["Network_0"]
    return {"params": {**inner, "Dense_1": params["params"]["Dense_0"]}}


def test_a_c51_checkpoint_of_cleanrl(tmp_path):
    net = Distribution(4, 51)
    params = net.init(jax.random.key(3), FIRST)
    args = {"env_id": "BreakoutNoFrameskip-v4", "n_atoms": 51, "v_min": -10, "v_max": 10, "track": False, "hf_entity": ""}
    path = tmp_path / "c51_atari_jax.cleanrl_model"

    def write(**changes):
        stored = {k: v for k, v in {**args, **changes}.items() if v is not None}
        path.write_bytes(flax.serialization.to_bytes({"model_weights": as_one_module(params), "args": stored}))
        return path

    agent = load_agent(write())
    assert agent.preset.env_id == "Breakout-v5" and len(agent.action_names) == 4 and agent.card["args"]["v_max"] == 10
    want = (np.asarray(net.apply(params, FIRST)[0]) * np.linspace(-10, 10, 51)).sum(-1)
    assert np.abs(want).max() > 0.01
    np.testing.assert_allclose(agent.f(agent.params, OBS).q, want, rtol=1e-4, atol=1e-4)
    moved = load_agent(write(v_min=-1, v_max=3))
    np.testing.assert_allclose(moved.f(moved.params, OBS).q, 1 + want / 5, rtol=1e-4, atol=1e-4)
    assert moved.layers == agent.layers and [*agent.layers][:3] == ["conv1", "conv2", "conv3"]
    with pytest.raises(ValueError, match="204 units are no whole number of actions of 40 atoms"):
        load_agent(write(n_atoms=40))
    with pytest.raises(ValueError, match="args lack v_max"):
        load_agent(write(v_max=None))
    with pytest.raises(ValueError, match="answers for 4 actions, Pong-v5 has 6"):
        load_agent(write(env_id="PongNoFrameskip-v4"))


def test_another_checkpoint_of_cleanrl(tmp_path):
    path = tmp_path / "c51.cleanrl_model"
    path.write_bytes(flax.serialization.to_bytes({"params": {"Dense_0": {"bias": np.zeros(3)}}}))
    with pytest.raises(ValueError, match="none of CleanRL's networks known here"):
        load_agent(path)
