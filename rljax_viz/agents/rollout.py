"""Playing a while with the present parameters, and writing down what a learner needs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Transition(NamedTuple):
    """One step of every environment; after `rollout` each field has `[T B]` in front.

    `valid` is False where the environment was only resetting: multiply every loss by it.
    """

    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    done: jax.Array
    valid: jax.Array
    value: jax.Array
    log_prob: jax.Array


class Episodes(NamedTuple):
    """Of the games that ended: how many, and the sums of their unclipped returns and of their lengths."""

    count: jax.Array
    return_sum: jax.Array
    length_sum: jax.Array


def ended_games(info: Any) -> Episodes:
    """What ended with one step of all games, by its `Info`."""
    end = info.episode_end
    returns, lengths = jnp.where(end, info.episode_return, 0.0), jnp.where(end, info.episode_length, 0)
    return Episodes(end.sum(), returns.sum(), lengths.sum())


def rollout(
    step: Callable, policy: Callable, env_state: Any, timestep: Any, key: jax.Array, num_steps: int
) -> tuple[tuple[Any, Any], Transition, Episodes]:
    """`num_steps` of `step(env_state, action[B])` with actions drawn from `policy(obs[B ...]) -> Output` (logits, value).

    Gives `((env_state, timestep), transitions[T B], episodes)`.
    """

    def one(carry, key_t):
        env_state, timestep = carry
        out = policy(timestep.obs)
        action = jax.random.categorical(key_t, out.logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(out.logits), action[:, None], 1)[:, 0]
        env_state, moved = step(env_state, action)
        info = moved.info
        transition = Transition(timestep.obs, action, moved.reward, moved.done, info.valid, out.value, log_prob)
        return (env_state, moved), (transition, ended_games(info))

    carry, (transitions, ended) = jax.lax.scan(one, (env_state, timestep), jax.random.split(key, num_steps))
    return carry, transitions, jax.tree.map(lambda x: x.sum(0), ended)
