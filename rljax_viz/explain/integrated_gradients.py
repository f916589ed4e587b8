"""Integrated gradients: the score's way from a baseline to the observation, shared out over the pixels."""

from typing import Any, Literal

import jax

from rljax_viz.explain.contract import Explain, Network, Score, as_float, evaluate, full_baseline
from rljax_viz.explain.path import quadrature, straight_gradient


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
        slope = straight_gradient(lambda x: evaluate(score, f(params, x, *rest)), start, obs, nodes, weights)
        return (obs - start) * slope

    return explain
