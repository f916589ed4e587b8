"""From a frame of 0..255 to what the first layer takes."""

from typing import Any

import jax
import jax.numpy as jnp


def check_frames(obs: jax.Array, smallest: int, network: str) -> None:
    """Raises ValueError if `obs` is not one frame stack [H W C], or has a side under `smallest`."""
    if obs.ndim != 3:
        raise ValueError(
            f"{network} takes ONE observation [H W C], got shape {obs.shape}. For a batch map over it: "
            "jax.vmap(net.apply, (None, 0))(params, obs)."
        )
    if min(obs.shape[:2]) < smallest:
        raise ValueError(
            f"{network} needs frames of at least {smallest}x{smallest} pixels, as [H W C], got shape {obs.shape}. "
            "For channels first: jnp.moveaxis(obs, 0, -1); for MinAtar's 10x10 use networks.make('minatar', ...) (--network "
            "minatar)."
        )


def scaled(obs: jax.Array, smallest: int, network: str, dtype: Any) -> jax.Array:
    """`obs` / 255 in `dtype`, after a look at its shape.

    obs[H W C] uint8 or float, 0..255 -> [H W C] `dtype`, 0..1. Scaling is part of the network, so that a gradient is
    per unit of the recorded frame. Raises ValueError if `obs` is not one frame stack, or has a side under `smallest`.
    """
    check_frames(obs, smallest, network)
    return (obs.astype(jnp.float32) / 255.0).astype(dtype)
