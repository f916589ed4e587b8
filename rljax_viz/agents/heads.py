"""What a network answers, and whether an algorithm can learn it: asked before anything runs."""

from typing import Any

import jax
import jax.numpy as jnp


def heads(network: Any, obs_shape: tuple[int, ...]) -> Any:
    """What `network` answers about one observation, an `Output` of shapes; runs nothing."""
    obs = jax.ShapeDtypeStruct(obs_shape, jnp.uint8)
    return jax.eval_shape(network.init_with_output, jax.random.key(0), obs)[0]


def refuse_without_actor_critic(network: Any, obs_shape: tuple[int, ...]) -> None:
    """Raises ValueError unless `network` answers with logits and value."""
    out = heads(network, obs_shape)
    if out.logits is None or out.value is None:
        raise ValueError(
            f"{type(network).__name__} has no logits and value, and ppo, a2c, a3c and acktr learn both; take an "
            "actor-critic network, or another algorithm: dqn, dddqn, drqn (--algo)"
        )


def refuse_without_q(network: Any, obs_shape: tuple[int, ...], algo: str) -> None:
    """Raises ValueError unless `network` answers with q."""
    if heads(network, obs_shape).q is None:
        raise ValueError(
            f"{type(network).__name__} has no q-values, and {algo} learns them; take a network that has: nature-q, "
            "nature-dueling, minatar-q, minatar-dueling (--network)"
        )
