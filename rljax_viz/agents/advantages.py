"""How much better than expected: generalised advantage estimation."""

import chex
import jax
import jax.numpy as jnp


def gae(
    reward: jax.Array, value: jax.Array, done: jax.Array, last_value: jax.Array, discount: float, lam: float
) -> jax.Array:
    """Generalised advantage estimates `[T ...]` from `reward, value, done [T ...]` and `last_value [...]`.

    `done[t]` says that the episode ended WITH step t, so that nothing flows back over it; a truncated episode counts
    as ended, as in OpenAI Baselines. Schulman et al. 2016, eq. 16, arXiv:1506.02438.
    """
    chex.assert_equal_shape([reward, value, done])
    next_value = jnp.concatenate([value[1:], last_value[None]])
    going_on = 1.0 - done.astype(value.dtype)
    delta = reward + discount * next_value * going_on - value

    def backward(advantage, step):
        delta_t, going_on_t = step
        advantage = delta_t + discount * lam * going_on_t * advantage
        return advantage, advantage

    return jax.lax.scan(backward, jnp.zeros_like(last_value), (delta, going_on), reverse=True)[1]
