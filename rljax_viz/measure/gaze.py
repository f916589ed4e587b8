"""Does a map lie where people look? Three metrics of a saliency map against a map of eye fixations.

Both maps are [H W] of one frame: saliency float, fixations the number of fixations in each pixel. Where a metric is
undefined it is NaN, for `jnp.nanmean` over a recording and a count of what was dropped. Pure functions of one frame:
`vmap` and `jit` do the rest. Nikulin et al. 2019, arXiv:1908.02511, section 4.3; exact definitions: FACTS, seed 004.
"""

from numbers import Integral

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from rljax_viz.images import gaussian_blur
from rljax_viz.measure.correlation import varies

_ZERO = 1e-8  # what counts as zero: numpy's isclose(x, 0)
_ROOM = 16  # float32 over this has differences that do not overflow, and a reciprocal that does not vanish


def nss(saliency: ArrayLike, fixations: ArrayLike) -> jax.Array:
    """Normalised scanpath saliency: the mean saliency at the fixations, in standard deviations of the map. Chance is 0.

    The map is brought to mean 0 and variance 1 (of the population), each fixation counts once. NaN for a constant map (one
    whose standard deviation is within 1e-8, or whose values differ by rounding alone), one that is not finite, or a frame
    without fixations.
    Peters et al. 2005, doi:10.1016/j.visres.2005.03.019. Raises ValueError unless both are [H W] of the same size.
    """
    saliency, fixations = _maps(saliency, fixations)
    above = saliency / _ROOM - saliency.min() / _ROOM  # from 0, before anything is rounded
    unit = _size(above)
    above = above / unit
    spread = above.std()
    score = (fixations * (above - above.mean())).sum() / (fixations.sum() * spread)
    return _where(_defined(saliency, fixations) & varies(saliency) & (spread * unit * _ROOM > _ZERO), score)


def kl_divergence(saliency: ArrayLike, fixations: ArrayLike, sigma: float = 5.0) -> jax.Array:
    """KL divergence of the map from the blurred fixations, both divided by their sums; in nats, 0 is best.

    Fixations are blurred by `sigma` pixels (OpenCV's borders and kernel, truncated at 4 sigma): 5 on 210x160 frames, 2 on
    84x84. NaN where the map is zero or negative somewhere that the blurred fixations are not, is not finite, or nobody
    looks anywhere; a constant map is defined.
    The paper's eq. 2. Differs: it says "normalized to [0..1]", its code (and this) divides by the sum.
    Raises ValueError unless both are [H W] of the same size.
    """
    saliency, fixations = _maps(saliency, fixations)
    looked = gaussian_blur(fixations, sigma, mode="mirror")
    seen = looked > 0
    parts = saliency / _ROOM / _size(saliency / _ROOM)  # whose sum does not overflow
    p, q = looked / looked.sum(), parts / parts.sum()
    terms = jnp.where(seen, p * (jnp.log(jnp.where(seen, p, 1)) - jnp.log(jnp.where(seen & (q > 0), q, 1))), 0)
    covered = jnp.where(seen, saliency > _ZERO, True).all()
    return _where(_defined(saliency, fixations) & covered, terms.sum())


def shuffled_auc(
    key: jax.Array, saliency: ArrayLike, fixations: ArrayLike, other_fixations: ArrayLike, splits: int = 100
) -> jax.Array:
    """Area under the ROC curve that tells fixations of this frame from fixations of other frames by the map's values.

    `other_fixations` [N H W] are summed; each of `splits` times as many of them as `fixations` holds are drawn, with
    replacement, and the areas are averaged. 0.5 is chance, ties count a half; a map that only knows where people look in
    general has no advantage. NaN for a constant map, one that is not finite, or no fixations here or there.
    Borji et al. 2013, doi:10.1109/ICCV.2013.118. `shuffled_auc_expected` is what it tends to with many splits.
    Raises ValueError unless the maps have the same size, and `splits` is a whole number from 1.
    """
    if not isinstance(splits, Integral) or splits < 1:
        raise ValueError(f"splits is how often fixations are drawn, a whole number from 1, e.g. 100; got {splits!r}")
    saliency, fixations, others = _three(saliency, fixations, other_fixations)
    beats = _beaten_by(saliency, fixations)
    up_to = jnp.cumsum(others.reshape(-1))

    def one(number, total):
        at = jax.random.uniform(jax.random.fold_in(key, number), (splits,)) * up_to[-1]
        return total + beats[jnp.minimum(jnp.searchsorted(up_to, at, side="right"), beats.size - 1)].sum()

    count = fixations.sum().astype(jnp.int32)
    area = jax.lax.fori_loop(0, count, one, jnp.float32(0)) / (count * splits)
    return _where(_ordered(saliency, fixations, others), area)


def shuffled_auc_expected(saliency: ArrayLike, fixations: ArrayLike, other_fixations: ArrayLike) -> jax.Array:
    """What `shuffled_auc` tends to: the probability that a fixation lies on a higher value than one of another frame
    (Mann and Whitney's U, ties a half). Needs no key and no draws. Arguments, NaN and errors as there.
    """
    saliency, fixations, others = _three(saliency, fixations, other_fixations)
    area = (others.reshape(-1) * _beaten_by(saliency, fixations)).sum() / others.sum()
    return _where(_ordered(saliency, fixations, others), area)


def _beaten_by(saliency: jax.Array, fixations: jax.Array) -> jax.Array:
    """[H*W]: for each pixel the part of the fixations that lies on a higher value, ties a half."""
    values, weights = saliency.reshape(-1), fixations.reshape(-1)
    order = jnp.argsort(values)
    up_to = jnp.concatenate([jnp.zeros(1), jnp.cumsum(weights[order])])
    ranked = values[order]
    below, below_or_equal = (up_to[jnp.searchsorted(ranked, values, side=side)] for side in ("left", "right"))
    return 1 - (below + below_or_equal) / 2 / jnp.maximum(weights.sum(), 1)


def _maps(saliency: ArrayLike, fixations: ArrayLike) -> tuple[jax.Array, jax.Array]:
    saliency, fixations = jnp.asarray(saliency, jnp.float32), jnp.asarray(fixations, jnp.float32)
    if saliency.ndim != 2 or saliency.shape != fixations.shape:
        raise ValueError(
            f"a saliency map and a fixation map of one frame have the same size [H W], got {saliency.shape} and "
            f"{fixations.shape}; explain.upsample brings a map to the frame's size, jax.vmap takes many"
        )
    return saliency, fixations


def _three(saliency: ArrayLike, fixations: ArrayLike, others: ArrayLike) -> tuple[jax.Array, jax.Array, jax.Array]:
    saliency, fixations = _maps(saliency, fixations)
    others = jnp.asarray(others, jnp.float32)
    if others.ndim != 3 or others.shape[1:] != saliency.shape:
        raise ValueError(f"other_fixations are [N H W] of other frames, of size {saliency.shape}; got {others.shape}")
    return saliency, fixations, others.sum(0)


def _size(map: jax.Array) -> jax.Array:
    """The largest absolute value; 1 of an empty map."""
    size = jnp.abs(map).max()
    return jnp.where(size > 0, size, 1)


def _defined(saliency: jax.Array, fixations: jax.Array) -> jax.Array:
    return jnp.isfinite(saliency).all() & (fixations.sum() > 0)


def _ordered(saliency: jax.Array, fixations: jax.Array, others: jax.Array) -> jax.Array:
    return _defined(saliency, fixations) & varies(saliency) & (others.sum() > 0)


def _where(defined: jax.Array, score: jax.Array) -> jax.Array:
    return jnp.where(defined, score, jnp.nan)
