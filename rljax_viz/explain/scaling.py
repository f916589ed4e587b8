"""Maps on a scale for the eye. Raw values stay what they are: these give new arrays, in -1..1."""

import jax
import jax.numpy as jnp
import numpy as np


def scale_per_frame(maps: jax.Array) -> jax.Array:
    """Each map divided by its own largest absolute value: [T ...] -> [T ...]; a map of zeros stays."""
    maps = jnp.asarray(maps)
    return _divided(maps, jnp.abs(maps).max(tuple(range(1, maps.ndim)), keepdims=True))


def scale_per_episode(maps: jax.Array, episode: np.ndarray) -> jax.Array:
    """Maps divided by the largest absolute value of their episode: [T ...], episode[T] (any labels) -> [T ...].

    Raises ValueError if `episode` has not one label a map.
    """
    maps, episode = jnp.asarray(maps), np.asarray(episode)
    if episode.shape != maps.shape[:1]:
        raise ValueError(f"one episode label a map: got {episode.shape} for {maps.shape[0]} maps")
    labels, which = np.unique(episode, return_inverse=True)
    largest = jax.ops.segment_max(jnp.abs(maps).max(tuple(range(1, maps.ndim))), which, len(labels))
    return _divided(maps, largest[which].reshape(-1, *[1] * (maps.ndim - 1)))


def scale_global(maps: jax.Array) -> jax.Array:
    """Maps divided by the largest absolute value of all: [T ...] -> [T ...]."""
    maps = jnp.asarray(maps)
    return _divided(maps, jnp.abs(maps).max())


def _divided(maps: jax.Array, largest: jax.Array) -> jax.Array:
    return jnp.where(largest > 0, maps / jnp.where(largest > 0, largest, 1), 0)
