"""The oracle is gymnax's own auto-resetting `step`, one environment at a time, under the keys that the door deals out."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import envs

from .playing import as_numpy, assert_same, play, random_actions, rollout

MINATAR = ["Asterix-MinAtar", "Breakout-MinAtar", "Freeway-MinAtar", "Seaquest-MinAtar", "SpaceInvaders-MinAtar"]
KEY = jax.random.key(3)


def by_hand(env_id: str, actions: np.ndarray, **params):
    """(first obs[B ...], rows[T][B] of (obs, reward, terminated, truncated, final obs)), floats as gymnax gives them."""
    env, defaults = gymnax.make(env_id)
    params = defaults.replace(**params)
    num_envs = actions.shape[1]
    key, key_reset = jax.random.split(KEY)
    started = [env.reset(k, params) for k in jax.random.split(key_reset, num_envs)]
    states, rows = [state for _, state in started], []
    for action_t in actions:
        key, key_step = jax.random.split(key)
        row = []
        for b, k in enumerate(jax.random.split(key_step, num_envs)):
            obs, states[b], reward, terminated, truncated, info = env.step(k, states[b], action_t[b], params)
            row.append((obs, reward, terminated, truncated & ~terminated, info["final_observation"]))
        rows.append(row)
    return np.stack([obs for obs, _ in started]), rows


@pytest.fixture(scope="module")
def breakout():
    """(env, first, steps, gymnax's own rows) of 40 random steps of 2 games of at most 12 steps: several ends of each kind."""
    env = envs.make("Breakout-MinAtar", 2, max_episode_steps=12)
    actions = random_actions(env, 40)
    return env, *play(env, KEY, actions), by_hand("Breakout-MinAtar", actions, max_steps_in_episode=12)


def column(rows, i) -> np.ndarray:
    return np.array([[np.asarray(row[b][i]) for b in range(len(row))] for row in rows])


def test_frames_rewards_and_ends_are_gymnaxs(breakout):
    env, first, steps, (hand_first, rows) = breakout
    assert first.obs.dtype == steps.obs.dtype == np.uint8 and first.obs.shape == (2, *env.obs_shape) == (2, 10, 10, 4)
    np.testing.assert_array_equal(first.obs, hand_first * 255)
    np.testing.assert_array_equal(steps.obs, column(rows, 0) * 255)
    np.testing.assert_array_equal(steps.reward, column(rows, 1))
    np.testing.assert_array_equal(steps.terminated, column(rows, 2))
    np.testing.assert_array_equal(steps.truncated, column(rows, 3))
    assert set(np.unique(steps.obs)) == {0, 255}
    assert steps.terminated.any() and steps.truncated.any() and not (steps.terminated & steps.truncated).any()


def test_the_true_last_observation_is_kept(breakout):
    _, _, steps, (_, rows) = breakout
    np.testing.assert_array_equal(steps.info.final_obs, column(rows, 4) * 255)
    done = steps.terminated | steps.truncated
    same = (steps.info.final_obs == steps.obs).all((-1, -2, -3))
    assert same[~done].all() and not same[done].any()


def test_returns_and_lengths_are_those_counted_by_hand(breakout):
    _, _, steps, _ = breakout
    done = steps.terminated | steps.truncated
    np.testing.assert_array_equal(steps.info.episode_end, done)
    assert steps.info.valid.all() and steps.reward.sum() > 0
    for b in range(2):
        total, length = 0.0, 0
        for t in range(len(done)):
            total, length = total + steps.reward[t, b], length + 1
            assert (steps.info.episode_return[t, b], steps.info.episode_length[t, b]) == (total, length)
            assert not steps.truncated[t, b] or length == 12
            if done[t, b]:
                total, length = 0.0, 0


@pytest.fixture(scope="module")
def cartpole():
    """(env, actions, first, steps) of games that last 5 steps: too short to fall."""
    env = envs.make("CartPole-v1", 2, max_episode_steps=5)
    actions = random_actions(env, 15)
    return env, actions, *play(env, KEY, actions)


def test_a_time_limit_truncates(cartpole):
    *_, steps = cartpole
    np.testing.assert_array_equal(steps.truncated, np.tile(np.arange(15)[:, None] % 5 == 4, 2))
    assert not steps.terminated.any()


def test_a_game_that_ends_on_its_last_step_was_not_cut_short():
    env = envs.make("Catch-bsuite", 1, max_episode_steps=9)  # the ball is down after nine steps
    _, steps = play(env, KEY, random_actions(env, 18))
    np.testing.assert_array_equal(np.flatnonzero(steps.terminated), [8, 17])
    assert not steps.truncated.any()


def test_vectors_stay_float32(cartpole):
    env, actions, first, steps = cartpole
    hand_first, rows = by_hand("CartPole-v1", actions, max_steps_in_episode=5)
    assert first.obs.dtype == steps.obs.dtype == steps.info.final_obs.dtype == np.float32 and env.obs_shape == (4,)
    np.testing.assert_array_equal(first.obs, hand_first)
    np.testing.assert_allclose(steps.obs, column(rows, 0), atol=1e-6)


def test_jit_is_eager(cartpole):
    env, actions, first, steps = cartpole
    state, eager = env.reset(KEY)
    assert_same(as_numpy(eager), first)
    _, eager = env.step(state, actions[0])
    compiled = jax.tree.map(lambda x: x[0], steps)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), eager, compiled)  # sums round otherwise


def test_clipping_leaves_the_account_alone():
    env = envs.make("DeepSea-bsuite", 2)  # a step to the right costs 0.01 / 8
    actions = random_actions(env, 20)
    _, plain = play(env, KEY, actions)
    _, clipped = play(envs.make("DeepSea-bsuite", 2, clip_reward=True), KEY, actions)
    assert_same(plain.info, clipped.info)
    np.testing.assert_array_equal(clipped.reward, np.sign(plain.reward))
    assert -0.01 < plain.reward.min() < 0 and clipped.reward.min() == -1


def test_agents_side_by_side_are_each_alone(breakout):
    env, *_ = breakout
    keys, actions = jax.random.split(KEY, 3), random_actions(env, 40, 3)
    together = as_numpy(jax.jit(jax.vmap(rollout(env)))(keys, actions))
    for s in range(3):
        assert_same(jax.tree.map(lambda x, s=s: x[s], together), play(env, keys[s], actions[s]), f"agent {s}")
    starts = together[0].obs.reshape(6, -1)  # the ball begins left or right
    assert 1 < len(np.unique(starts, axis=0))


@pytest.mark.parametrize("env_id", MINATAR)
def test_minatar_actions_have_their_names(env_id):
    env = envs.make(env_id, 1)
    full = ("noop", "left", "up", "right", "down", "fire")
    assert env.action_names == tuple(full[int(i)] for i in gymnax.make(env_id)[0].minimal_action_set)
    assert env.num_actions == len(env.action_names)


def test_every_environment_opens_or_says_why_not():
    refused = []
    for env_id in envs.list_envs("gymnax"):
        if env_id == "MNISTBandit-bsuite":  # downloads its pictures
            continue
        try:
            env = envs.make(env_id, 2)
        except ValueError as error:
            assert f"{env_id} has continuous actions, expected a number of discrete ones" in str(error)
            refused.append(env_id)
            continue
        state, first = jax.eval_shape(env.reset, KEY)
        moved, steps = jax.eval_shape(env.step, state, jnp.zeros(2, jnp.int32))
        assert steps.obs.shape == first.obs.shape == (2, *env.obs_shape)
        assert first.obs.dtype == (jnp.uint8 if len(env.obs_shape) == 3 else jnp.float32)
        kinds = [[(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(s)] for s in (state, moved)]
        assert kinds[0] == kinds[1], env_id  # else a learner is compiled twice
    assert refused == [
        "MountainCarContinuous-v0", "Pendulum-v1", "PointRobot-misc", "Reacher-misc", "Swimmer-misc",
    ]  # fmt: skip


def test_wishes_that_it_cannot_fulfil_are_refused():
    with pytest.raises(ValueError, match=r"Breakout-MinAtar cannot be shown with {.*'frame_skip': 4.*envs.make\("):
        envs.make("Breakout-MinAtar", 2, "baselines")
    env = envs.make("Breakout-MinAtar", 2)
    with pytest.raises(ValueError, match=r"action has shape \(3,\).*each of the 2 environments"):
        jax.eval_shape(env.step, jax.eval_shape(env.reset, KEY)[0], jnp.zeros(3, int))
