"""Lives, ends, clipping, and the steps on which envpool only resets: what learners and scores are told."""

import dataclasses

import jax
import numpy as np
import pytest

from rljax_viz import envs
from rljax_viz.store import Observations

from .playing import assert_same, play, random_actions

KEY = jax.random.key(5)
STEPS = 420
NO_RGB = ("rgb",)  # 130 MB of colour frames that no test here looks at


@pytest.fixture(scope="module")
def lives():
    """(env, actions, first, steps) of Asterix (rewards of 50, short games) under `baselines`, lives recorded."""
    env = envs.make("Asterix-v5", 3, "baselines", recording=True)
    actions = random_actions(env, STEPS)
    return env, actions, *play(env, KEY, actions, NO_RGB)


@pytest.fixture(scope="module")
def whole():
    """(env, first, steps) under the evaluation preset: whole games, truncated after 200 steps, rewards as they are."""
    preset = envs.make_preset("baselines", "Asterix-v5", max_episode_steps=200).for_evaluation()
    env = envs.make("Asterix-v5", 3, preset)
    return env, *play(env, KEY, random_actions(env, STEPS))


def before(first: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Of each step, what was there when its action was chosen."""
    return np.concatenate([first[None], steps[:-1]])


def test_a_lost_life_ends_for_the_learner_and_not_for_the_score(lives):
    _, _, first, steps = lives
    had, has = before(first.info.extra["lives"], steps.info.extra["lives"]), steps.info.extra["lives"]
    lost = steps.info.valid & (has < had)
    np.testing.assert_array_equal(steps.terminated, lost)
    np.testing.assert_array_equal(steps.info.episode_end, lost & (has == 0))
    assert not steps.truncated.any()
    assert steps.info.episode_end.sum() >= 3 and steps.terminated.sum() >= 2 * steps.info.episode_end.sum()


def test_only_the_step_after_an_end_is_not_valid_and_it_brings_nothing(lives):
    _, _, first, steps = lives
    np.testing.assert_array_equal(steps.info.valid, ~before(first.done, steps.terminated | steps.truncated))
    assert first.info.valid.all()
    for x in (steps.reward, steps.terminated, steps.truncated, steps.info.episode_end):
        assert not x[~steps.info.valid].any()


def test_the_action_of_a_step_that_is_not_valid_is_ignored(lives):
    env, actions, first, steps = lives
    others = np.where(steps.info.valid, actions, (actions + 1) % env.num_actions).astype(np.int32)
    assert (others != actions).any()
    assert_same(play(env, KEY, others, NO_RGB), (first, steps))


def test_the_account_survives_a_lost_life_and_clipping(lives):
    env, actions, first, steps = lives
    plain = envs.make("Asterix-v5", 3, dataclasses.replace(env.preset, clip_reward=False), recording=True)
    _, unclipped = play(plain, KEY, actions, NO_RGB)
    assert_same(steps.info, unclipped.info)
    np.testing.assert_array_equal(steps.reward, np.sign(unclipped.reward))
    assert unclipped.reward.max() == 50 and set(np.unique(steps.reward)) == {0, 1}
    going = ~before(first.info.episode_end, steps.info.episode_end)
    change = np.diff(steps.info.episode_return, axis=0, prepend=first.info.episode_return[None])
    np.testing.assert_array_equal(change[going], unclipped.reward[going])
    after_a_life = before(first.done, steps.terminated) & going
    assert steps.info.episode_return[after_a_life].max() > 0  # so a lost life did not close the account


@pytest.mark.parametrize("game", ["lives", "whole"])
def test_returns_are_sums_over_valid_steps(game, request):
    *_, steps = request.getfixturevalue(game)
    worth = 50.0 if game == "lives" else 1.0  # Asterix pays 50 a piece, `lives` is clipped
    for b in range(3):
        total, length, games = 0.0, 0, 0
        for t in range(STEPS):
            total += worth * steps.reward[t, b] * steps.info.valid[t, b]
            length += steps.info.valid[t, b]
            assert (steps.info.episode_return[t, b], steps.info.episode_length[t, b]) == (total, length)
            if steps.info.episode_end[t, b]:
                total, length, games = 0.0, 0, games + 1
        assert games


def test_a_time_limit_truncates(whole):
    _, _, steps = whole
    at_limit = steps.info.valid & (steps.info.episode_length == 200)
    np.testing.assert_array_equal(steps.truncated, at_limit)
    np.testing.assert_array_equal(steps.info.episode_end, steps.terminated | steps.truncated)
    assert steps.truncated.any() and not (steps.truncated & steps.terminated).any()


def test_the_final_observation_is_shown_at_the_end_and_the_next_begins_a_game(whole):
    _, _, steps = whole
    ends = np.argwhere(steps.info.episode_end[:-1])
    assert len(ends) >= 3
    for t, b in ends:
        np.testing.assert_array_equal(steps.info.final_obs[t, b], steps.obs[t, b])
        np.testing.assert_array_equal(steps.obs[t, b, ..., :-1], steps.obs[t - 1, b, ..., 1:])  # still the old game
        assert (steps.obs[t + 1, b] == steps.obs[t + 1, b, ..., :1]).all()  # one frame, repeated


def stacks_of_single_frames(env, first, steps, b: int) -> tuple[np.ndarray, np.ndarray]:
    """(stacks gathered from newest frames, what the agent saw) of the valid steps of place `b`, as a recording has them."""
    valid = steps.info.valid[:, b]
    seen = before(first.obs, steps.obs)[valid, b]
    ended = (steps.terminated | steps.truncated)[valid, b]
    channels = seen.shape[-1] // env.preset.stack
    starts = np.flatnonzero(np.concatenate([[True], ended[:-1]]))
    frames = np.ascontiguousarray(seen[..., -channels:])
    return Observations(frames, starts, env.preset.stack, env.preset.padding)[:], seen


def test_stacks_come_back_from_single_frames(whole):
    env, first, steps = whole
    for b in range(3):
        gathered, seen = stacks_of_single_frames(env, first, steps, b)
        np.testing.assert_array_equal(gathered, seen)


def test_stacks_of_colour_frames_come_back_too():
    preset = envs.make_preset("baselines", "Breakout-v5", grey=False, stack=3, height=0, width=0, max_episode_steps=9)
    env = envs.make("Breakout-v5", 1, preset.for_evaluation())
    first, steps = play(env, KEY, random_actions(env, 32))
    assert env.obs_shape == (210, 160, 9) and steps.truncated.sum() == 3
    gathered, seen = stacks_of_single_frames(env, first, steps, 0)
    np.testing.assert_array_equal(gathered, seen)
    assert (seen[..., -3] != seen[..., -1]).any()  # really in colour
