"""Any explanation under noise: its mean and its variance."""

from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, objective
from rljax_viz.explain.path import shifted_gradient


def smooth(explain: Explain, noise: float, samples: int) -> Explain:
    """The mean of `explain` over noisy copies of the observation.

    -> explain(key, params, obs, *rest) -> float32, shape and units of what `explain` gives. `noise` is the standard
    deviation of the Gaussian in units of `obs` (38 is 15 % of 0..255); memory does not grow with `samples`.
    Smilkov et al. 2017, eq. 1, arXiv:1706.03825. Differs: nothing; noisy pixels may leave 0..255, as there.
    Raises ValueError for samples < 1 or a negative noise.
    """
    _check(noise, samples)

    def smoothed(key: jax.Array, params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        return _moments(explain, noise, samples, key, params, obs, rest)[0]

    return smoothed


def smooth_grad(f: Network, score: Score, noise: float = 38.0, samples: int = 16) -> Explain:
    """SmoothGrad, under the name it is known by: `smooth(gradient(f, score), noise, samples)` to a rounding, 15 % noise.

    The affine beginning of `f` (a CNN's first convolution) runs backward once, not once a sample; with the same key for
    all frames of a `vmap`, the noise and what that beginning makes of it are computed once for all frames, too.
    """
    _check(noise, samples)
    goal = objective(f, score)

    def explain(key: jax.Array, params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        obs = as_float(obs)
        draw = lambda key: noise * jax.random.normal(key, obs.shape)  # noqa: E731
        return shifted_gradient(lambda x: goal(params, x, *rest), obs, draw, jax.random.split(key, samples))

    return explain


def var_grad(explain: Explain, noise: float, samples: int) -> Explain:
    """The variance of `explain` over noisy copies of the observation.

    -> explain(key, params, obs, *rest) -> float32, shape of what `explain` gives, its units squared: the population's
    variance (over `samples`). With the same key the same noise as `smooth`.
    Adebayo et al. 2018, appendix, arXiv:1810.03292. Differs: nothing.
    Raises ValueError for samples < 1 or a negative noise.
    """
    _check(noise, samples)

    def varied(key: jax.Array, params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        return _moments(explain, noise, samples, key, params, obs, rest)[1]

    return varied


def _check(noise: float, samples: int) -> None:
    if samples < 1:
        raise ValueError(f"noise is averaged over samples >= 1, got samples={samples}")
    if noise < 0:
        raise ValueError(f"noise is a standard deviation in units of obs (38 is 15 % of 0..255), got {noise}")


def _moments(explain, noise, samples, key, params, obs, rest) -> tuple[jax.Array, jax.Array]:
    """Mean and population variance, one sample alive at a time (Welford)."""
    obs = as_float(obs)

    def add(carry, at):
        mean, square = carry
        count, key = at
        map = explain(params, obs + noise * jax.random.normal(key, obs.shape), *rest).astype(jnp.float32)
        change = map - mean
        mean = mean + change / count
        return (mean, square + change * (map - mean)), None

    shape = jax.eval_shape(lambda: explain(params, obs, *rest)).shape
    zero = jnp.zeros(shape, jnp.float32)
    counts = jnp.arange(1, samples + 1, dtype=jnp.float32)
    (mean, square), _ = jax.lax.scan(add, (zero, zero), (counts, jax.random.split(key, samples)))
    return mean, square / samples
