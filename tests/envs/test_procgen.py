"""Procgen through the envpool door. Skipped where Qt cannot be loaded, the one skip of this room."""

import envpool
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import envs
from rljax_viz.envs.envpool_door import game_seeds
from rljax_viz.envs.qt import load_procgen

from .playing import as_numpy, assert_same, play, random_actions, rollout

KEY = jax.random.key(4)
NINE = ("left-down", "left", "left-up", "down", "noop", "up", "right-down", "right", "right-up")


@pytest.fixture(autouse=True, scope="module")
def qt():
    try:
        load_procgen()
    except ImportError as error:
        pytest.skip(f"no Qt here: {error}")


def hurry(steps: int, num_envs: int) -> np.ndarray:
    """To the right, jumping now and then: CoinRun's levels end soon, one way or the other."""
    return np.random.default_rng(0).choice(np.array([7, 7, 8, 8, 4], np.int32), (steps, num_envs))


def test_the_door_shows_what_envpool_gives():
    env = envs.make("CoinrunEasy-v0", 2)
    actions = random_actions(env, 20)
    first, steps = play(env, KEY, actions)
    seeds = game_seeds(np.asarray(jax.random.key_data(KEY)), 2)
    pool = envpool.make("CoinrunEasy-v0", env_type="gymnasium", num_envs=2, env_seed=seeds)
    obs, _ = pool.reset()
    np.testing.assert_array_equal(first.obs, obs.transpose(0, 2, 3, 1))
    for t, action in enumerate(actions):
        np.testing.assert_array_equal(steps.obs[t], pool.step(action)[0].transpose(0, 2, 3, 1))
    assert env.obs_shape == (64, 64, 3) and steps.obs.dtype == np.uint8
    assert env.num_actions == 15 and env.action_names[:9] == NINE and len(set(env.action_names)) == 15


def test_nine_actions():
    env = envs.make("CoinrunHard-v0", 2, num_actions=9)
    assert env.num_actions == 9 and env.action_names == NINE
    state, _ = env.reset(KEY)
    with pytest.raises(jax.errors.JaxRuntimeError, match="actions from 8 to 9, expected 0 to 8"):
        jax.block_until_ready(env.step(state, jnp.array([8, 9])))


def test_right_is_right_and_up_is_a_jump():
    env = envs.make("CoinrunEasy-v0", 1, num_levels=1, start_level=3, recording=True)

    def ends(name: str) -> np.ndarray:
        return np.asarray(play(env, KEY, np.full((8, 1), NINE.index(name), np.int32))[1].obs[-1])

    still = ends("noop")
    assert all((ends(name) != still).any() for name in ("right", "up", "right-up"))
    assert (ends("down") == still).all()  # there is nothing to duck from


def test_one_level_again_and_again():
    env = envs.make("CoinrunEasy-v0", 3, num_levels=1, start_level=3, recording=True)
    first, steps = play(env, KEY, hurry(250, 3))
    again, _ = play(env, jax.random.key(5), hurry(250, 3))
    assert (first.info.extra["level_seed"] == 3).all() and (steps.info.extra["level_seed"] == 3).all()
    assert (first.obs == first.obs[0]).all()
    np.testing.assert_array_equal(first.obs, again.obs)
    begins = steps.obs[~steps.info.valid]
    assert len(begins) >= 2 and (begins == first.obs[0]).all()
    other, _ = play(envs.make("CoinrunEasy-v0", 3, num_levels=1, start_level=4, recording=True), KEY, hurry(250, 3))
    assert (other.obs[0] != first.obs[0]).any()


def test_ends_returns_and_the_steps_that_only_reset():
    env = envs.make("CoinrunEasy-v0", 4, recording=True)
    first, steps = play(env, KEY, hurry(200, 4))
    done = steps.terminated | steps.truncated
    np.testing.assert_array_equal(steps.info.episode_end, done)
    np.testing.assert_array_equal(steps.info.valid, ~np.concatenate([first.done[None], done[:-1]]))
    assert not steps.reward[~steps.info.valid].any()
    won = steps.info.extra["prev_level_complete"] == 1
    assert won.any() and (done & ~won).any()  # coins reached, and falls
    np.testing.assert_array_equal(steps.info.episode_return[done], 10.0 * won[done])
    np.testing.assert_array_equal(steps.reward[done], 10.0 * won[done])
    level = np.concatenate([first.info.extra["level_seed"][None], steps.info.extra["level_seed"]])
    # The final observation is of the level that ends, and the next level comes with the reset.
    np.testing.assert_array_equal(level[1:] != level[:-1], ~steps.info.valid)


def test_recorded_colours_are_what_the_agent_sees():
    first, steps = play(envs.make("MazeEasy-v0", 2, recording=True), KEY, np.full((5, 2), 7, np.int32))
    np.testing.assert_array_equal(first.info.extra["rgb"], first.obs)
    np.testing.assert_array_equal(steps.info.extra["rgb"], steps.obs)


def test_the_velocity_is_painted_into_the_corner():
    actions = np.full((6, 1), NINE.index("right-up"), np.int32)
    _, plain = play(envs.make("CoinrunEasy-v0", 1), KEY, actions)
    _, painted = play(envs.make("CoinrunEasy-v0", 1, paint_vel_info=True), KEY, actions)
    changed = (plain.obs != painted.obs).any((0, 1, 4))
    assert changed.any() and not changed[16:].any() and not changed[:, 32:].any()


def test_agents_side_by_side_are_each_alone():
    env = envs.make("StarpilotEasy-v0", 2)
    keys, actions = jax.random.split(KEY, 3), random_actions(env, 25, 3)
    together = as_numpy(jax.jit(jax.vmap(rollout(env)))(keys, actions))
    for k in range(3):
        assert_same(play(env, keys[k], actions[k]), jax.tree.map(lambda x, k=k: x[k], together), f"agent {k}")
    assert len({game.tobytes() for game in np.moveaxis(together[1].obs, 1, 2).reshape(6, -1)}) == 6


def test_wishes_that_it_cannot_fulfil_are_refused():
    with pytest.raises(ValueError, match=r"CoinrunEasy-v0 cannot be shown with {'stack': 2}"):
        envs.make("CoinrunEasy-v0", 1, stack=2)
    with pytest.raises(ValueError, match="start_level=3 needs num_levels"):
        envs.make("CoinrunEasy-v0", 1, start_level=3)
    with pytest.raises(ValueError, match="CoinrunEasy-v0 has 15 actions, preset asks for 16"):
        envs.make("CoinrunEasy-v0", 1, num_actions=16)
