"""Input times gradient: the first-order share of each pixel in the score."""

from typing import Any

import jax

from rljax_viz.explain.contract import Explain, Network, Score, as_float
from rljax_viz.explain.gradient import gradient


def input_x_gradient(f: Network, score: Score) -> Explain:
    """What each pixel adds to the score, to first order: obs * d score / d obs.

    explain(params, obs, *rest) -> float32, shape of `obs`, score units.
    Shrikumar et al. 2016, sec. 2, arXiv:1605.01713. Differs: nothing.
    Raises ValueError if the score is not one number.
    """
    slope = gradient(f, score)

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        return as_float(obs) * slope(params, obs, *rest)

    return explain
