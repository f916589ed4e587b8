"""RISE: which random pieces of the frame make the score high."""

from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, objective
from rljax_viz.explain.variants import over_variants


def rise(f: Network, score: Score, masks: jax.Array) -> Explain:
    """The mean score of masked frames, for each pixel over the masks that show it.

    explain(params, obs, *rest) -> float32 map[H W], score units: sum of score(obs x mask) x mask over sum of masks. `masks`
    [N H W] in 0..1, from `rise_masks`, the same for every frame; hidden pixels are 0 in all channels.
    Petsiuk et al. 2018, eq. 6, arXiv:1806.07421. Differs: divided by the masks that were drawn, not by their expectation.
    Raises ValueError for masks of another size, or a score that is not one number.
    """
    scored = objective(f, score)

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        obs, shown = as_float(obs), jnp.asarray(masks, jnp.float32)
        if shown.ndim != 3 or shown.shape[1:] != obs.shape[:2]:
            raise ValueError(
                f"masks of shape {shown.shape} do not fit a frame {obs.shape}: [N H W], e.g. "
                f"rise_masks(key, 1000, 7, 0.5, {tuple(obs.shape[:2])})"
            )
        scores = over_variants(lambda mask: scored(params, obs * mask[..., None], *rest), shown, batch=32)
        total = shown.sum(0)
        seen = jnp.einsum("n,nhw->hw", scores, shown, precision="highest")
        return jnp.where(total > 0, seen / jnp.where(total > 0, total, 1), 0)

    return explain


def rise_masks(key: jax.Array, n: int, cells: int, p: float, shape: tuple[int, int]) -> jax.Array:
    """Random smooth masks: `cells` x `cells` coins, 1 with probability `p`, upsampled and shifted within a cell.

    -> float32 [n H W] in 0..1. Petsiuk et al. 2018, sec. 3.2, arXiv:1806.07421. Differs: nothing.
    Raises ValueError for n or cells < 1, or p outside 0..1.
    """
    if n < 1 or cells < 1 or not 0 < p <= 1:
        raise ValueError(f"masks need n >= 1, cells >= 1 and 0 < p <= 1, got n={n}, cells={cells}, p={p}")
    height, width = (-(-side // cells) for side in shape)  # of one cell

    def one(key: jax.Array) -> jax.Array:
        coins, down, right = jax.random.split(key, 3)
        grid = jax.random.bernoulli(coins, p, (cells, cells)).astype(jnp.float32)
        large = jax.image.resize(grid, ((cells + 1) * height, (cells + 1) * width), "bilinear", antialias=False)
        corner = jax.random.randint(down, (), 0, height), jax.random.randint(right, (), 0, width)
        return jax.lax.dynamic_slice(large, corner, shape)

    return jax.vmap(one)(jax.random.split(key, n))
