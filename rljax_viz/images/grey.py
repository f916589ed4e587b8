"""Colour to grey, differentiable."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, what PIL and OpenCV use


def grey(image: ArrayLike) -> jax.Array:
    """The luma of a colour image: 0.299 red + 0.587 green + 0.114 blue, not rounded.

    image[H W 3] -> float32 [H W], units kept.
    ITU-R BT.601, as in PIL's "L" and OpenCV, which round to 8 bits; this does not, so that gradients pass.
    Raises ValueError if `image` is not [H W 3].
    """
    image = jnp.asarray(image, jnp.float32)
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"grey takes one colour image [H W 3], got shape {image.shape}; for a batch: jax.vmap(grey)")
    return jnp.einsum("hwc,c->hw", image, _LUMA, precision="highest")
