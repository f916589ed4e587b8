"""Integrated gradients of a hidden layer, from silence to its activation."""

from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, evaluate
from rljax_viz.explain.path import quadrature, straight_gradient
from rljax_viz.transforms import at_layer


def layer_integrated_gradients(f: Network, score: Score, layer: str, steps: int = 10) -> Explain:
    """What each unit of `layer` adds to the score on the straight way from the zero activation to what it is.

    explain(params, obs, *rest) -> float32, shape of `layer`, score units: A * mean of d score / dA at A/n, ..., A.
    Hilton et al. 2020, "Understanding RL Vision", doi:10.23915/distill.00029 (its code: ten steps, right Riemann sum).
    Differs: nothing. Captum's method of this name takes the layer at a zero INPUT as baseline, another function. The
    layers below run once, and so does what is affine right above (the next convolution, or the fully connected layer).
    Raises KeyError if `layer` is not tagged; ValueError for steps < 1 or a score that is not one number.
    """
    nodes, weights = quadrature("right", steps)

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        h, tail = at_layer(f, layer)(params, as_float(obs), *rest)
        slope = straight_gradient(lambda a: evaluate(score, tail(a)), jnp.zeros_like(h), h, nodes, weights)
        return h.astype(jnp.float32) * slope

    return explain
