"""Maps brought to the size of the frame they explain."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def upsample(map: ArrayLike, size: tuple[int, int]) -> jax.Array:
    """`map` at another height and width: bilinear, half-pixel centres, no antialiasing.

    map[h w] or [h w c] -> float32 [H W] or [H W c], units kept.
    Equals cv2 INTER_LINEAR and torch `bilinear, align_corners=False`; the peers' other choices differ by up to 18 % of
    the pixels (FACTS R8). Raises ValueError for another rank or an empty size.
    """
    map = jnp.asarray(map, jnp.float32)
    if map.ndim not in (2, 3):
        raise ValueError(
            f"upsample takes one map [h w] or [h w c], got shape {map.shape}; "
            "for a batch: jax.vmap(lambda m: upsample(m, (84, 84)))(maps)"
        )
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"upsample needs size=(height, width), both at least 1, got {size}; e.g. obs.shape[:2]")
    return jax.image.resize(map, (*size, *map.shape[2:]), "bilinear", antialias=False)
