"""Integrated gradients: the score's way from a baseline to the observation, shared out over the pixels."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, evaluate, full_baseline
from rljax_viz.explain.path import path_gradient, quadrature
from rljax_viz.transforms import linear_prefix


def integrated_gradients(
    f: Network,
    score: Score,
    steps: int = 50,
    baseline: float | jax.Array = 0.0,
    rule: Literal["gauss_legendre", "midpoint"] = "gauss_legendre",
) -> Explain:
    """What each pixel adds to the score on the straight way from `baseline` to `obs`.

    explain(params, obs, *rest) -> float32, shape of `obs`, score units; sums to score(obs) - score(baseline), up to the
    error of `steps` nodes. `baseline`: a scalar, or an array of the shape of `obs`, in units of `obs`.
    Sundararajan et al. 2017, eq. 1 and 3, arXiv:1703.01365. Differs: Gauss-Legendre nodes (or midpoints), not Riemann
    sums from 1/n; the part of `f` that is affine in `obs` (scaling, first convolution) runs forward twice and backward
    once instead of `steps` times; memory does not grow with `steps`.
    Raises ValueError for steps < 1, an unknown rule, a baseline of another shape, or a score that is not one number.
    """
    if rule not in ("gauss_legendre", "midpoint"):
        raise ValueError(f"rule={rule!r} is unknown; choose 'gauss_legendre' or 'midpoint'")
    nodes, weights = quadrature(rule, steps)

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        obs = as_float(obs)
        start = full_baseline(baseline, obs)
        z_start, tail = linear_prefix(f)(params, start, *rest)
        # Affine: its pullback is the same at every point of the path, so it is applied once, to the summed slopes.
        z_obs, pullback = jax.vjp(lambda x: linear_prefix(f)(params, x, *rest)[0], obs)
        step = jax.tree.map(jnp.subtract, z_obs, z_start)
        slope = path_gradient(lambda z: evaluate(score, tail(z)), z_start, step, nodes, weights)
        (slope,) = pullback(jax.tree.map(lambda s, z: s.astype(z.dtype), slope, z_obs))
        return (obs - start) * slope

    return explain
