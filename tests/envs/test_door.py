import importlib.util

import pytest

from rljax_viz import envs
from rljax_viz.envs.door import door_of


@pytest.mark.parametrize("door", envs.DOORS)
def test_every_name_leads_back_through_its_own_door(door):
    names = envs.list_envs(door)
    assert len(names) >= (1 if door == "ale-atari" else 25) and names == sorted(set(names))
    assert {door_of(name) for name in names} == {door}


def test_the_examples_are_there():
    assert {"Breakout-v5", "Pong-v5"} <= set(envs.list_envs("envpool-atari"))
    assert {"CoinrunHard-v0", "StarpilotEasy-v0"} <= set(envs.list_envs("envpool-procgen"))
    assert {"Breakout-MinAtar", "CartPole-v1"} <= set(envs.list_envs("gymnax"))


@pytest.mark.parametrize(
    ("env_id", "preset"),
    [("Pong-v5", "baselines"), ("MazeEasy-v0", "procgen"), ("MountainCar-v0", "plain"), ("Asterix-MinAtar", "plain")],
)
def test_default_presets(env_id, preset):
    assert envs.default_preset(env_id) == preset


@pytest.mark.parametrize("env_id", ["Breakout", "Breakout-v4", "", "PongNoFrameskip"])
def test_a_name_of_no_door_shows_what_names_look_like(env_id):
    with pytest.raises(ValueError, match=f"no environment '{env_id}'. Names look like this: Breakout-v5, Pong-v5"):
        envs.make(env_id)


@pytest.mark.parametrize(
    ("env_id", "near"),
    [("Brekout-v5", "Breakout-v5"), ("Coinrun-v0", "CoinrunHard-v0"), ("Brakout-MinAtar", "Breakout-MinAtar")],
)
def test_a_misspelt_name_shows_the_nearest(env_id, near):
    with pytest.raises(ValueError, match=f"no environment '{env_id}' behind the door .*'{near}'"):
        envs.make(env_id)


def test_other_refusals():
    with pytest.raises(ValueError, match=r"no door 'atari'; there are \['ale-atari', 'envpool-atari'"):
        envs.list_envs("atari")
    with pytest.raises(ValueError, match="num_envs is 0, expected 1 or more"):
        envs.make("Breakout-MinAtar", 0)
    preset = envs.make_preset("dqn", "Pong-v5")
    with pytest.raises(ValueError, match=r"a Preset or changes \['sticky'\], not both: dataclasses.replace"):
        envs.make("Pong-v5", 1, preset, sticky=0.25)
    with pytest.raises(ValueError, match="the preset is of 'Pong-v5', the environment asked for is 'Breakout-v5'"):
        envs.make("Breakout-v5", 1, preset)
    with pytest.raises(ValueError, match="no preset 'nature'"):
        envs.make("Breakout-v5", 1, "nature")


@pytest.mark.parametrize(("env_id", "package"), [("Breakout-v5", "envpool"), ("Breakout-MinAtar", "gymnax")])
def test_a_missing_package_is_named_with_the_fix(env_id, package, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == package else find(name, *a))
    with pytest.raises(ImportError, match=f"{env_id} needs {package}: pip install {package}"):
        envs.make(env_id)


def test_changes_and_presets_reach_the_environment():
    env = envs.make("Breakout-MinAtar", 3, clip_reward=True, max_episode_steps=9)
    assert env.preset == envs.make_preset("plain", "Breakout-MinAtar", clip_reward=True, max_episode_steps=9)
    assert envs.make("Breakout-MinAtar", 3, env.preset).preset == env.preset
    assert env.num_envs == 3
