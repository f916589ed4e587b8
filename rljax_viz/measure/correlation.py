"""How alike are two maps? Correlation over their pixels, NaN where it is undefined: a constant map, or one not finite."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def pearson(left: ArrayLike, right: ArrayLike) -> jax.Array:
    """Pearson's correlation of two maps of the same shape, over all pixels: -1..1.

    NaN for a constant map or one that is not finite. Equals scipy.stats.pearsonr. Raises ValueError for different shapes.
    """
    return _pearson(*_flat(left, right))


def spearman(left: ArrayLike, right: ArrayLike) -> jax.Array:
    """Spearman's: Pearson's correlation of the ranks, equal values sharing their mean rank. Blind to any rescaling.

    NaN for a constant map or one that is not finite. Equals scipy.stats.spearmanr. Raises ValueError for different shapes.
    """
    left, right = _flat(left, right)
    defined = jnp.isfinite(left).all() & jnp.isfinite(right).all() & varies(left) & varies(right)
    return jnp.where(defined, _pearson(ranks(left), ranks(right)), jnp.nan)


def varies(map: jax.Array) -> jax.Array:
    """Is a float32 map more than a constant with rounding? bool[]: its range is over 16 roundings of its largest value.

    A constant map that was brought to another size differs from itself by up to 4 of them.
    """
    unit = jnp.abs(map).max()
    scaled = map / jnp.where(unit > 0, unit, 1)
    return scaled.max() - scaled.min() > 16 * jnp.finfo(jnp.float32).eps


def ranks(values: ArrayLike) -> jax.Array:
    """Places of values[n] in their order, from 1; equal values share their mean place. scipy.stats.rankdata."""
    values = jnp.asarray(values)
    ordered = jnp.sort(values)
    below, upto = (jnp.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + upto + 1).astype(jnp.float32) / 2


def _flat(left: ArrayLike, right: ArrayLike) -> tuple[jax.Array, jax.Array]:
    left, right = jnp.asarray(left, jnp.float32), jnp.asarray(right, jnp.float32)
    if left.shape != right.shape:
        raise ValueError(
            f"two maps of one shape are compared, got {left.shape} and {right.shape}: bring them to one size first, "
            "e.g. images.upsample(map, (84, 84))"
        )
    return left.reshape(-1), right.reshape(-1)


def _pearson(left: jax.Array, right: jax.Array) -> jax.Array:
    constant = ~(varies(left) & varies(right))
    left, right = (v / 16 - v.min() / 16 for v in (left, right))  # from 0, before anything is rounded or overflows
    left, right = (v / jnp.maximum(v.max(), 1e-32) for v in (left, right))  # tiny maps do not underflow
    left, right = left - left.mean(), right - right.mean()
    both = jnp.sqrt((left**2).sum() * (right**2).sum())
    return jnp.where(constant, jnp.nan, (left * right).sum() / jnp.where(both > 0, both, jnp.nan))
