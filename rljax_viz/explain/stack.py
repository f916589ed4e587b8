"""From a map of every frame in the stack to one picture."""

import jax
import jax.numpy as jnp


def last_frame(map: jax.Array, channels: int = 1) -> jax.Array:
    """The part of a map that belongs to the newest frame of the stack.

    map[H W C] -> [H W], units kept: the sum over the last `channels` channels (1 for grey frames, 3 for colour).
    Rosynski et al. 2020 show gradients so; their code takes index 0 after a roll (FACTS R5), here the newest is LAST.
    Raises ValueError if `map` is not [H W C] or C is not a multiple of `channels`.
    """
    map = jnp.asarray(map)
    if map.ndim != 3:
        raise ValueError(f"last_frame takes one map [H W C], got shape {map.shape}; for a batch: jax.vmap(last_frame)")
    if channels < 1 or map.shape[-1] % channels:
        raise ValueError(
            f"a stack of {map.shape[-1]} channels does not divide into frames of {channels}; "
            "grey frames have channels=1, colour frames channels=3"
        )
    return map[..., -channels:].sum(-1)


def per_frame(map: jax.Array, channels: int = 1) -> jax.Array:
    """The map of each frame of the stack, oldest first: map[H W C] -> [C/channels H W], units kept, channels summed.

    Raises ValueError if `map` is not [H W C] or C is not a multiple of `channels`.
    """
    newest = last_frame(map, channels)  # checks
    frames = jnp.asarray(map).reshape(*newest.shape, -1, channels).sum(-1)
    return jnp.moveaxis(frames, -1, 0)


def sum_abs(map: jax.Array) -> jax.Array:
    """How much the whole stack matters at each pixel, whatever the sign: map[H W C] -> [H W], sum of absolute values.

    Raises ValueError if `map` is not [H W C].
    """
    last_frame(map)  # checks
    return jnp.abs(jnp.asarray(map)).sum(-1)
