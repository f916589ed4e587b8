"""What every environment is: batched, linear, and usable inside `jit`, `scan` and `vmap`, whatever stands behind it.

Sharp edges. A state is used ONCE: a pool of games behind a door moves on and cannot step an old state again (the
door notices and says so). Where `info.valid` is False the environment was only resetting: the action was
ignored and the reward is 0, so every learner multiplies its loss by `valid`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .presets import Preset


class Info(NamedTuple):
    """What a learner needs beside the observation; every field has the batch in front.

    final_obs: the true last observation where an episode ends, `obs` elsewhere.
    valid: False where the step only reset the game.
    episode_end: the real end of a game (a lost life is none); `episode_return` and `episode_length` count up to and
        including this step, unclipped, over all lives.
    extra: what was asked for by `recording=True`: `rgb[B 210 160 3]`, `ram[B 128]`, ...
    """

    final_obs: jax.Array
    valid: jax.Array
    episode_end: jax.Array
    episode_return: jax.Array
    episode_length: jax.Array
    extra: dict[str, jax.Array]


class Timestep(NamedTuple):
    """`obs[B H W C]` (uint8 for frames), `reward[B]`, `terminated[B]`, `truncated[B]` as the learner shall see them.

    With same-step auto-reset `obs` begins the next episode, and `info.final_obs` ends the last. envpool resets one
    step later: its door repeats the final observation and marks the step that follows as not valid.
    """

    obs: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    info: Info

    @property
    def done(self) -> jax.Array:
        return self.terminated | self.truncated


@dataclass(frozen=True)
class Env:
    """`reset(key) -> (state, Timestep)` and `step(state, action[B] int32) -> (state, Timestep)`.

    Seeds are a `vmap`: `vmap(env.reset)(keys[S])` and `vmap(env.step)` run S agents side by side, each with its own
    `num_envs` games, and agent k sees the games that it would see alone. A checkpoint cannot hold a pool of
    games, so a run begins new games there, from `reset(fold_in(key, update))`.
    """

    reset: Callable[[jax.Array], tuple[Any, Timestep]]
    step: Callable[[Any, jax.Array], tuple[Any, Timestep]]
    num_envs: int
    num_actions: int
    obs_shape: tuple[int, ...]
    action_names: tuple[str, ...]
    preset: Preset


class Account(NamedTuple):
    """Return and length of the episodes under way, counted outside reward clipping and life loss."""

    episode_return: jax.Array
    episode_length: jax.Array


def open_account(num_envs: int) -> Account:
    return Account(jnp.zeros(num_envs, jnp.float32), jnp.zeros(num_envs, jnp.int32))


def enter(account: Account, raw_reward: jax.Array, valid: jax.Array, end: jax.Array) -> tuple[Account, Account]:
    """Adds one step; gives `(account, totals)`: the account to carry on, and the totals with this step."""
    totals = Account(
        account.episode_return + jnp.where(valid, raw_reward, 0.0),
        account.episode_length + valid.astype(jnp.int32),
    )
    return jax.tree.map(lambda x: jnp.where(end, jnp.zeros_like(x), x), totals), totals


def check_action(action: jax.Array, num_envs: int) -> jax.Array:
    """`action` as int32, refused unless it is one integer an environment."""
    action = jnp.asarray(action)
    if action.shape != (num_envs,) or not jnp.issubdtype(action.dtype, jnp.integer):
        raise ValueError(
            f"action has shape {action.shape} and type {action.dtype}, expected one integer for each of the "
            f"{num_envs} environments; for S agents at once step under jax.vmap: vmap(env.step)(state, action[S B])"
        )
    return action.astype(jnp.int32)
