"""Gaussian blur, as the saliency literature uses it: scipy's kernel, scipy's borders."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

# scipy's words for the border -> numpy's, which means something else by "reflect"
_BORDERS = {"reflect": "symmetric", "mirror": "reflect"}


@functools.cache
def blur_matrix(length: int, sigma: float, mode: str = "reflect", truncate: float = 4.0) -> np.ndarray:
    """float32 [length length]: row i holds the weights of blurred pixel i, border included; `gaussian_blur` of one axis."""
    radius = int(truncate * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    source = np.pad(np.arange(length), radius, mode=_BORDERS[mode])  # pyright: ignore[reportArgumentType, reportCallIssue]
    matrix = np.zeros((length, length))
    for i in range(length):
        np.add.at(matrix[i], source[i : i + 2 * radius + 1], kernel)
    return matrix.astype(np.float32)


def gaussian_blur(
    image: ArrayLike, sigma: float, mode: Literal["reflect", "mirror"] = "reflect", truncate: float = 4.0
) -> jax.Array:
    """`image` blurred over height and width, each channel for itself, never across the frames of a stack.

    image[H W] or [H W C], sigma in pixels -> float32 of the same shape and units.
    Equals `scipy.ndimage.gaussian_filter(image, (sigma, sigma, 0), mode=mode, truncate=truncate)`; `mode="mirror"` is
    OpenCV's default border. Greydanus et al. 2018, arXiv:1711.00138, blur like this; for stacks see FACTS I10.
    Raises ValueError for another rank, an unknown mode or a sigma that is not positive.
    """
    image = jnp.asarray(image, jnp.float32)
    if image.ndim not in (2, 3):
        raise ValueError(
            f"gaussian_blur takes one image [H W] or [H W C], got shape {image.shape}; "
            f"for a batch: jax.vmap(lambda x: gaussian_blur(x, {sigma}))(images)"
        )
    if mode not in _BORDERS:
        raise ValueError(f"gaussian_blur knows the borders {sorted(_BORDERS)} (scipy's names), got mode={mode!r}")
    if not sigma > 0:
        raise ValueError(f"gaussian_blur needs sigma > 0 pixels, got {sigma}; without blur use the image itself")
    rows, columns = (blur_matrix(n, float(sigma), mode, float(truncate)) for n in image.shape[:2])
    # Two small matrix products beat a padded convolution on every backend, and the border is exact by construction.
    return jnp.einsum("ih,hw...,jw->ij...", rows, image, columns, precision="highest")
