"""DeepLIFT: the difference to a baseline, shared out by slopes between the two instead of at a point."""

from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, evaluate, full_baseline
from rljax_viz.transforms import rescaled


def deep_lift(f: Network, score: Score, baseline: float | jax.Array = 0.0) -> Explain:
    """What each pixel adds to the score beside `baseline`, by the rescale rule.

    explain(params, obs, *rest) -> float32, shape of `obs`, score units; sums to score(obs) - score(baseline) where ReLUs
    are all that is not linear and the score picks one output (pools and products keep their slope at `obs`).
    `baseline`: a scalar or an array of the shape of `obs`, in its units.
    Shrikumar et al. 2017, sec. 3.5.1, arXiv:1704.02685. Differs: nothing.
    Raises ValueError if `f` holds no ReLU, for a baseline of another shape, or a score that is not one number.
    """

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        obs = as_float(obs)
        start = full_baseline(baseline, obs)
        outputs = rescaled(lambda x: f(params, x, *rest))
        return (obs - start) * jax.grad(lambda x: evaluate(score, outputs(x, start)))(obs).astype(jnp.float32)

    return explain
