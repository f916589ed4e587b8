"""Plays given actions through any `Env`, as learners do: jitted, in a scan."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from rljax_viz.envs import Env, Timestep


def rollout(env: Env, drop: tuple[str, ...] = ()) -> Callable:
    """`(key, actions[T B]) -> (first Timestep, Timesteps[T B ...])`: reset, then a scan of step; `drop` leaves out extras."""

    def one(state, action):
        state, step = env.step(state, action)
        extra = {name: value for name, value in step.info.extra.items() if name not in drop}
        return state, step._replace(info=step.info._replace(extra=extra))

    def play(key, actions):
        state, first = env.reset(key)
        _, steps = jax.lax.scan(one, state, actions)
        return first, steps

    return play


@functools.lru_cache(maxsize=4)
def compiled(env: Env, drop: tuple[str, ...] = ()) -> Callable:
    return jax.jit(rollout(env, drop))


def play(env: Env, key: jax.Array, actions: np.ndarray, drop: tuple[str, ...] = ()) -> tuple[Timestep, Timestep]:
    """`rollout`, compiled and run; everything as numpy."""
    return as_numpy(compiled(env, drop)(key, actions))


def as_numpy(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def random_actions(env: Env, steps: int, *agents: int, seed: int = 0) -> np.ndarray:
    """[*agents steps num_envs] int32."""
    return np.random.default_rng(seed).integers(0, env.num_actions, (*agents, steps, env.num_envs), np.int32)


def assert_same(left: Any, right: Any, what: str = "") -> None:
    """Equal bit for bit, leaf by leaf."""
    for (path, a), (_, b) in zip(*map(jax.tree_util.tree_leaves_with_path, (left, right)), strict=True):
        np.testing.assert_array_equal(a, b, f"{what} {jax.tree_util.keystr(path)}")
