"""The oracle stacks by hand, in numpy, what the same games show one observation at a time."""

import dataclasses

import jax
import numpy as np
import pytest

from rljax_viz import envs
from rljax_viz.envs import stacked
from rljax_viz.images import gather_stacks

from .playing import as_numpy, assert_same, play, random_actions, rollout

KEY, STACK = jax.random.key(5), 3


def by_hand(first, steps, padding):
    """(first, later, final) windows [T B H W 3c] of single observations: lists of frames, emptied where an episode ends."""
    games = range(len(first.obs))
    fill = lambda obs: [obs if padding == "repeat" else 0 * obs] * (STACK - 1) + [obs]  # noqa: E731
    seen = [fill(first.obs[b]) for b in games]
    begun, later, final = [np.concatenate(s, -1) for s in seen], [], []
    for t in range(len(steps.obs)):
        last = [[*seen[b][1:], steps.info.final_obs[t, b]] for b in games]
        seen = [fill(steps.obs[t, b]) if steps.info.episode_end[t, b] else last[b] for b in games]
        later.append([np.concatenate(s, -1) for s in seen])
        final.append([np.concatenate(s, -1) for s in last])
    return np.stack(begun), np.array(later), np.array(final)


@pytest.mark.parametrize("padding", ["repeat", "zeros"])
def test_windows_are_those_stacked_by_hand(padding):
    one = envs.make("Breakout-MinAtar", 2, max_episode_steps=12)
    env = envs.make("Breakout-MinAtar", 2, max_episode_steps=12, stack=STACK, padding=padding)
    assert env.obs_shape == (10, 10, 4 * STACK) and (env.preset.stack, env.preset.padding) == (STACK, padding)
    actions = random_actions(env, 40)
    (first, steps), (begun, moved) = play(one, KEY, actions), play(env, KEY, actions)
    assert steps.terminated.any() and steps.truncated.any()
    expected = by_hand(first, steps, padding)
    for ours, theirs in zip((begun.obs, moved.obs, moved.info.final_obs), expected, strict=True):
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(begun.info.final_obs, begun.obs)
    for ours, theirs in ((begun, first), (moved, steps)):  # all else is that of the single frames
        blind = lambda x: x._replace(obs=None, info=x.info._replace(final_obs=None))  # noqa: E731
        assert_same(blind(ours), blind(theirs))


@pytest.mark.parametrize("padding", ["repeat", "zeros"])
def test_they_are_what_the_store_gathers(padding):
    env = envs.make("Breakout-MinAtar", 1, max_episode_steps=12, stack=STACK, padding=padding)
    first, steps = play(env, KEY, random_actions(env, 40))
    seen = np.concatenate([first.obs, steps.obs[:, 0]])
    begins = np.concatenate([[True], (steps.terminated | steps.truncated)[:, 0]])
    start = np.maximum.accumulate(np.where(begins, np.arange(41), 0))
    np.testing.assert_array_equal(gather_stacks(seen[..., -4:], start, np.arange(41), STACK, padding), seen)


def test_vectors_stack_too_and_agents_side_by_side_are_each_alone():
    env = envs.make("CartPole-v1", 2, max_episode_steps=5, stack=STACK)
    keys, actions = jax.random.split(KEY, 2), random_actions(env, 15, 2)
    together = as_numpy(jax.jit(jax.vmap(rollout(env)))(keys, actions))
    assert together[1].obs.shape == (2, 15, 2, 4 * STACK) and together[1].obs.dtype == np.float32
    for s in range(2):
        alone = play(env, keys[s], actions[s])
        jax.tree.map(lambda a, b, s=s: np.testing.assert_allclose(a[s], b, atol=1e-6), together, alone)


def test_what_cannot_be_stacked_is_refused():
    one = envs.make("Breakout-MinAtar", 1)
    for stack, padding in ((0, "repeat"), (2, "mirror")):
        with pytest.raises(ValueError, match=f"got stack={stack}, padding='{padding}'"):
            stacked(one, stack, padding)
    with pytest.raises(ValueError, match="has no channels to stack"):
        stacked(dataclasses.replace(one, obs_shape=()), 2)
