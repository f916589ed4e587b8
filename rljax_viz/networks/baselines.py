"""Layers with the initialisation of OpenAI Baselines: orthogonal weights, zero biases.

Saxe et al. 2013, arXiv:1312.6120, with the gains of Baselines' PPO2: sqrt(2) before a ReLU, 0.01 for the logits (the
first policy is almost uniform), 1.0 for what estimates a return.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

HIDDEN, POLICY, RETURN = 2**0.5, 0.01, 1.0


def orthogonal(gain: float = 1.0) -> nn.initializers.Initializer:
    """`jax.nn.initializers.orthogonal`, but one network after the other under `vmap`.

    A batched QR of jaxlib waits, on a CPU, for threads of the pool that it was called from: two of them at once (two
    layers of several seeds) leave a machine of two cores waiting forever.
    """
    of_one = jax.nn.initializers.orthogonal(gain)

    def init(key: jax.Array, shape: Any, dtype: Any = jnp.float32, out_sharding: Any = None) -> jax.Array:
        return jax.custom_batching.sequential_vmap(lambda key: of_one(key, shape, dtype, out_sharding))(key)

    return init


def conv(features: int, size: int, stride: int, padding: str, name: str, dtype: Any) -> nn.Conv:
    """A square convolution in `dtype` that a ReLU follows."""
    return nn.Conv(
        features,
        (size, size),
        (stride, stride),
        padding,
        dtype=dtype,
        kernel_init=orthogonal(HIDDEN),
        name=name,
    )


def dense(features: int, name: str, dtype: Any) -> nn.Dense:
    """A fully connected layer in `dtype` that a ReLU follows."""
    return nn.Dense(features, dtype=dtype, kernel_init=orthogonal(HIDDEN), name=name)


def head(features: int, gain: float, name: str) -> nn.Dense:
    """The last layer of a stream: always in float32, whatever the layers below it compute in."""
    return nn.Dense(features, dtype=jnp.float32, kernel_init=orthogonal(gain), name=name)
