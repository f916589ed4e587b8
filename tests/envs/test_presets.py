import dataclasses
import json

import pytest

from rljax_viz.envs import PRESETS, Preset, check_same_view, make_preset
from rljax_viz.envs.presets import check_honoured

# Another value for every field that an agent sees or does, beside those of `baselines`.
SEEN = {
    "frame_skip": 2,
    "max_pool": False,
    "grey": False,
    "height": 96,
    "width": 96,
    "stack": 1,
    "padding": "zeros",
    "full_actions": True,
    "num_actions": 3,
    "paint_vel_info": True,
}
LEARNT_WITH = {
    "sticky": 0.25,
    "noop_max": 1,
    "fire_reset": False,
    "max_episode_steps": 100,
    "clip_reward": False,
    "life_loss": False,
    "num_levels": 500,
    "start_level": 7,
}


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name):
    preset = make_preset(name, "Breakout-v5", sticky=0.125, num_levels=3)
    assert Preset.from_json(json.loads(json.dumps(preset.to_json()))) == preset
    assert preset.name == name and preset.sticky == 0.125


def test_the_papers_own_figures():
    baselines, dqn, machado = (make_preset(name, "Pong-v5") for name in ("baselines", "dqn", "machado"))
    for preset in (baselines, dqn, machado):
        assert (preset.frame_skip, preset.height, preset.width, preset.stack) == (4, 84, 84, 4)
        assert preset.max_pool and preset.grey and preset.clip_reward
        assert preset.max_episode_steps * preset.frame_skip == 108_000  # 30 minutes at 60 frames a second
    assert baselines.life_loss and baselines.fire_reset and baselines.noop_max == 30 and baselines.sticky == 0
    assert dqn.life_loss and not dqn.fire_reset and dqn.noop_max == 30
    colour = make_preset("colour", "MsPacman-v5")
    assert (colour.grey, colour.height, colour.width, colour.stack) == (False, 0, 0, 4)
    assert not machado.life_loss and machado.full_actions and machado.sticky == 0.25


def test_unknown_json_field_is_refused():
    with pytest.raises(ValueError, match=r"unknown fields \['gamma'\].*another version of rljax_viz"):
        Preset.from_json({**make_preset("dqn", "Pong-v5").to_json(), "gamma": 0.99})


def test_unknown_name_and_field_are_refused():
    with pytest.raises(ValueError, match=r"no preset 'atari'; there are \['baselines', 'colour', 'dqn'"):
        make_preset("atari", "Pong-v5")
    with pytest.raises(ValueError, match=r"a preset has no field \['frameskip'\]; it has .*'frame_skip'"):
        make_preset("dqn", "Pong-v5", frameskip=4)


@pytest.mark.parametrize("name", PRESETS)
def test_for_evaluation_shows_the_same_view_of_whole_unclipped_games(name):
    preset = make_preset(name, "Pong-v5")
    evaluation = preset.for_evaluation()
    assert not evaluation.clip_reward and not evaluation.life_loss
    assert dataclasses.replace(evaluation, clip_reward=preset.clip_reward, life_loss=preset.life_loss) == preset
    check_same_view(evaluation, preset, "the agent")


@pytest.mark.parametrize("field", SEEN)
def test_another_view_is_refused_by_the_field_that_differs(field):
    want = make_preset("baselines", "Pong-v5")
    have = dataclasses.replace(want, **{field: SEEN[field]})
    with pytest.raises(ValueError, match=f"{field}: {SEEN[field]!r}, trained on {getattr(want, field)!r}"):
        check_same_view(have, want, "the agent")


def test_a_refusal_says_what_to_do():
    want = make_preset("baselines", "Pong-v5")
    with pytest.raises(ValueError, match=r"pong-1 was trained on another view of the game \(env_id: 'Breakout-v5'") as e:
        check_same_view(make_preset("machado", "Breakout-v5"), want, "pong-1")
    assert "full_actions: True, trained on False" in str(e.value)
    assert "--env Pong-v5 --preset baselines" in str(e.value)
    assert "envs.make('Pong-v5', num_envs, preset=agent.preset)" in str(e.value)


def test_what_only_shapes_the_learning_may_differ():
    want = make_preset("baselines", "Pong-v5")
    check_same_view(dataclasses.replace(want, **LEARNT_WITH), want, "the agent")
    fields = {field.name for field in dataclasses.fields(Preset)}
    assert set(SEEN) | set(LEARNT_WITH) | {"env_id", "name"} == fields  # a new field must be thought about here


def test_a_preset_that_its_door_would_not_keep_is_refused():
    check_honoured(make_preset("plain", "CartPole-v1", clip_reward=True), ("clip_reward",))
    with pytest.raises(ValueError, match=r"CartPole-v1 cannot be shown with {'stack': 4}.*only \['clip_reward'\]"):
        check_honoured(make_preset("plain", "CartPole-v1", clip_reward=True, stack=4), ("clip_reward",))
