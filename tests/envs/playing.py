"""Plays given actions through any `Env`, as learners do: jitted, in a scan."""

from typing import Any

import jax
import numpy as np

from rljax_viz.envs import Env, Timestep


def rollout(env: Env):
    """`(key, actions[T B]) -> (first Timestep, Timesteps[T B ...])`: reset, then a scan of step."""

    def play(key, actions):
        state, first = env.reset(key)
        _, steps = jax.lax.scan(env.step, state, actions)
        return first, steps

    return play


def play(env: Env, key: jax.Array, actions: np.ndarray) -> tuple[Timestep, Timestep]:
    """`rollout`, compiled and run; everything as numpy."""
    return as_numpy(jax.jit(rollout(env))(key, actions))


def as_numpy(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def random_actions(env: Env, steps: int, *agents: int, seed: int = 0) -> np.ndarray:
    """[*agents steps num_envs] int32."""
    return np.random.default_rng(seed).integers(0, env.num_actions, (*agents, steps, env.num_envs), np.int32)


def assert_same(left: Any, right: Any, what: str = "") -> None:
    """Equal bit for bit, leaf by leaf."""
    for (path, a), (_, b) in zip(*map(jax.tree_util.tree_leaves_with_path, (left, right)), strict=True):
        np.testing.assert_array_equal(a, b, f"{what} {jax.tree_util.keystr(path)}")
