"""Looking into a key-value store: its keys as frames, and the way from a key to a state."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def invert_keys(decode: Callable[[jax.Array], jax.Array], keys: jax.Array) -> jax.Array:
    """The frame stack that each key stands for: keys[... E] -> [... H W C], in what `decode(h[E])` gives (0..255).

    A global explanation: no state goes into it. Annasamy & Sycara 2019, section "Inversion of keys", arXiv:1809.05630;
    `decode` is `functools.partial(networks.decode, network, params)`. Raises ValueError for keys without an embedding axis.
    """
    if keys.ndim < 1:
        raise ValueError(f"keys are [... E], got shape {keys.shape}; i-DQN's lie in params['params']['keys'] as [A N E]")
    flat = keys.reshape(-1, keys.shape[-1])
    frames = jax.lax.map(decode, flat, batch_size=64)
    return frames.reshape(*keys.shape[:-1], *frames.shape[1:])


def latent_path(
    decode: Callable[[jax.Array], jax.Array], start: jax.Array, end: jax.Array, steps: int = 6
) -> jax.Array:
    """Frame stacks [steps H W C] along the straight line from the embedding start[E] to end[E], both included.

    Annasamy & Sycara 2019, figure 16 (0, 0.2, ..., 1 from a key to a state). Raises ValueError for fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"a path has a beginning and an end: steps >= 2, got {steps}")
    part = jnp.linspace(0.0, 1.0, steps)[:, None]
    return jax.vmap(decode)(start[None] + part * (end - start)[None])


def pixelwise_maximum(frames: ArrayLike | Sequence[ArrayLike]) -> jax.Array:
    """One state that holds the bright objects of many: frames[N ...] -> [...], of their dtype.

    Annasamy & Sycara 2019, figure 15: a state that was never seen, to try what an agent has memorised. Raises ValueError for
    no frames.
    """
    frames = jnp.asarray(frames)
    if not frames.ndim or not len(frames):
        raise ValueError(f"frames are [N ...], one or more, got shape {frames.shape}")
    return frames.max(0)


def attention_by_value(weights: ArrayLike, values: ArrayLike | Sequence[float]) -> jax.Array:
    """The attention map, actions x keys: weights[... A N] with its columns from the smallest of values[N] to the largest.

    Each row is the law over returns that is expected of one action. Annasamy & Sycara 2019, supplement, "Attention maps".
    Raises ValueError unless there is one value for each key.
    """
    weights, values = jnp.asarray(weights), jnp.asarray(values)
    if not weights.ndim or values.shape != weights.shape[-1:]:
        raise ValueError(
            f"values are [N], one for each key of weights[... A N]; got {values.shape} for {weights.shape}; i-DQN's lie in "
            "params['constants']['values']"
        )
    return weights[..., jnp.argsort(values)]
