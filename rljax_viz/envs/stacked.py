"""A window of the last observations, over any environment that shows one at a time."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .env import Env, Timestep


class StackedState(NamedTuple):
    env_state: Any
    seen: jax.Array


def stacked(env: Env, stack: int, padding: str = "repeat") -> Env:
    """`env` whose observations [B ... c] are its last `stack` ones, [B ... stack*c]: the oldest first, the newest LAST.

    The c channels of one observation stay side by side, as `images.gather_stacks` puts them. Where an episode begins the
    window is filled anew: `repeat` with its first observation, `zeros` with nothing before it. `info.final_obs` is the window
    that the last step of an episode would have shown.
    Mnih et al. 2015, methods; `zeros` as OpenAI Baselines. Envs that reset one step late (`Env`) stack for themselves.
    Raises ValueError for a stack under 1, another padding, or observations without channels.
    """
    if stack < 1 or padding not in ("repeat", "zeros"):
        raise ValueError(f"expected stack >= 1 and padding 'repeat' or 'zeros', got stack={stack}, padding={padding!r}")
    if not env.obs_shape:
        raise ValueError(f"{env.preset.env_id} gives one number, and has no channels to stack; leave the stack out")
    channels = env.obs_shape[-1]

    def filled(obs: jax.Array) -> jax.Array:
        before = obs if padding == "repeat" else jnp.zeros_like(obs)
        return jnp.concatenate([*[before] * (stack - 1), obs], -1)

    def moved_on(seen: jax.Array, obs: jax.Array) -> jax.Array:
        return jnp.concatenate([seen[..., channels:], obs], -1)

    def reset(key: jax.Array) -> tuple[StackedState, Timestep]:
        env_state, first = env.reset(key)
        seen = filled(first.obs)
        return StackedState(env_state, seen), first._replace(obs=seen, info=first.info._replace(final_obs=seen))

    def step(state: StackedState, action: jax.Array) -> tuple[StackedState, Timestep]:
        env_state, moved = env.step(state.env_state, action)
        final = moved_on(state.seen, moved.info.final_obs)
        begins = moved.info.episode_end.reshape(-1, *[1] * len(env.obs_shape))
        seen = jnp.where(begins, filled(moved.obs), final)
        return StackedState(env_state, seen), moved._replace(obs=seen, info=moved.info._replace(final_obs=final))

    shape = (*env.obs_shape[:-1], stack * channels)
    preset = dataclasses.replace(env.preset, stack=stack, padding=padding)
    return Env(reset, step, env.num_envs, env.num_actions, shape, env.action_names, preset)
