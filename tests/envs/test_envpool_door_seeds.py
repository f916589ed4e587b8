"""Seeds are a vmap: agents side by side on one pool, each with the games that it would have alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rljax_viz import envs
from rljax_viz.envs.envpool_door import game_seeds

from .playing import as_numpy, assert_same, compiled, play, random_actions, rollout

KEY = jax.random.key(2)
AGENTS, STEPS = 4, 30


@pytest.fixture(scope="module")
def env():
    return envs.make("Breakout-v5", 2, "baselines", sticky=0.25)  # chance at the reset and at every step


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(KEY, AGENTS)


@pytest.fixture(scope="module")
def actions(env):
    return random_actions(env, STEPS, AGENTS)


@pytest.fixture(scope="module")
def side_by_side(env):
    return jax.jit(jax.vmap(rollout(env)))


@pytest.fixture(scope="module")
def together(side_by_side, keys, actions):
    return as_numpy(side_by_side(keys, actions))


def test_agent_k_sees_bit_for_bit_what_it_sees_alone(env, keys, actions, together):
    for k in range(AGENTS):
        assert_same(play(env, keys[k], actions[k]), jax.tree.map(lambda x, k=k: x[k], together), f"agent {k}")


def test_different_agents_play_different_games(side_by_side, keys, actions):
    _, steps = as_numpy(side_by_side(keys, np.broadcast_to(actions[:1], actions.shape)))
    games = np.moveaxis(steps.obs, 1, 2).reshape(AGENTS * 2, -1)
    assert len({game.tobytes() for game in games}) == AGENTS * 2


def test_agents_of_one_key_play_the_same_games(env):
    state, first = jax.vmap(env.reset)(jnp.stack([KEY, KEY]))
    _, step = jax.vmap(env.step)(state, jnp.ones((2, 2), int))
    for timestep in (first, step):
        np.testing.assert_array_equal(timestep.obs[0], timestep.obs[1])


def test_a_vmap_inside_a_vmap_is_one_longer_vmap(env, keys, actions, together):
    nested = jax.jit(jax.vmap(jax.vmap(rollout(env))))
    got = as_numpy(nested(keys.reshape(2, 2), actions.reshape(2, 2, *actions.shape[1:])))
    assert_same(jax.tree.map(lambda x: x.reshape(AGENTS, *x.shape[2:]), got), together)


def test_other_axes_of_vmap(env, keys, actions):
    state, _ = jax.vmap(env.reset)(keys)
    state, behind = jax.vmap(env.step, in_axes=(0, 1))(state, jnp.asarray(actions[:, 0].T))
    _, shared = jax.vmap(env.step, in_axes=(0, None))(state, jnp.asarray(actions[0, 1]))
    state, _ = jax.vmap(env.reset)(keys)
    state, front = jax.vmap(env.step)(state, jnp.asarray(actions[:, 0]))
    _, repeated = jax.vmap(env.step)(state, jnp.asarray(actions[:1, 1].repeat(AGENTS, 0)))
    assert_same(as_numpy((behind, shared)), as_numpy((front, repeated)))


def test_agents_may_lie_on_several_devices(side_by_side, keys, actions, together):
    assert len(jax.devices()) >= 2
    agents = NamedSharding(Mesh(np.array(jax.devices()[:2]), ("agents",)), P("agents"))
    got = side_by_side(jax.device_put(keys, agents), jax.device_put(actions, agents))
    assert_same(as_numpy(got), together)


def test_another_device_than_the_first(env, keys, actions, together):
    second = jax.devices()[1]
    got = compiled(env)(jax.device_put(keys[1], second), jax.device_put(actions[1], second))
    assert got[1].obs.devices() == {second}
    assert_same(as_numpy(got), jax.tree.map(lambda x: x[1], together))


def test_game_seeds_are_hashed_from_the_key():
    data = np.asarray(jax.random.key_data(jax.random.split(KEY, 16)))
    seeds = game_seeds(data, 8)
    assert len(set(seeds)) == len(seeds) == 128 and all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == game_seeds(data, 8)
    for k in range(16):  # alone or among others, and whatever the number of games
        assert game_seeds(data[k], 8) == seeds[8 * k : 8 * k + 8]
        assert game_seeds(data[k], 3) == seeds[8 * k : 8 * k + 3]
    steps = np.abs(np.diff(np.sort(seeds)))
    assert steps.min() > 1000  # plain consecutive seeds share games
    near = [game_seeds(np.asarray(jax.random.key_data(jax.random.key(i))), 8) for i in range(4)]
    assert len({seed for row in near for seed in row}) == 32


def test_any_kind_of_key_will_do(env):
    obs = [np.asarray(env.reset(jax.random.key(seed, impl="rbg"))[1].obs) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(obs[0], obs[1])
    assert (obs[0] != obs[2]).any()
