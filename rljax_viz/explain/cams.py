"""The other class activation maps by gradients: Grad-CAM++, HiResCAM, LayerCAM. They differ in one line."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, evaluate
from rljax_viz.explain.grad_cam import spatial_layer


def grad_cam_plus_plus(f: Network, score: Score, layer: str) -> Explain:
    """Grad-CAM whose channels are weighted by their positive slopes, place by place.

    explain(params, obs, *rest) -> float32 map[h w], rectified, not divided, at the resolution of `layer`: weights are the
    sum over places of alpha relu(g), alpha = g^2 / (2 g^2 + g^3 sum A).
    Chattopadhay et al. 2018, eq. 10-19, arXiv:1710.11063. Differs: the factor exp(score), equal for all channels, is left
    out; it overflows for returns.
    Raises KeyError if `layer` is not tagged; ValueError if it is not [h w c] or the score is not one number.
    """

    def weigh(h: jax.Array, g: jax.Array) -> jax.Array:
        below = 2 * g**2 + g**3 * h.sum((0, 1), keepdims=True)
        alpha = jnp.where(below != 0, g**2 / jnp.where(below != 0, below, 1), 0)
        weights = (alpha * jax.nn.relu(g)).sum((0, 1))
        return jax.nn.relu(jnp.einsum("hwc,c->hw", h, weights, precision="highest"))

    return _of_slopes(f, score, layer, weigh)


def hires_cam(f: Network, score: Score, layer: str) -> Explain:
    """Activation times slope at each place of `layer`, summed over its channels: what each place adds to a linear rest.

    explain(params, obs, *rest) -> float32 map[h w], score units, SIGNED, at the resolution of `layer`; where only one linear
    layer follows, its sum is the score without the bias.
    Draelos and Carin 2020, eq. 2, arXiv:2011.08891. Differs: nothing (rectify it yourself to compare it with Grad-CAM).
    Raises KeyError if `layer` is not tagged; ValueError if it is not [h w c] or the score is not one number.
    """
    return _of_slopes(f, score, layer, lambda h, g: (h * g).sum(-1))


def layer_cam(f: Network, score: Score, layer: str) -> Explain:
    """Activation times positive slope at each place of `layer`, summed over its channels, rectified.

    explain(params, obs, *rest) -> float32 map[h w], score units, not divided, at the resolution of `layer`.
    Jiang et al. 2021, eq. 6-7, doi:10.1109/TIP.2021.3089943. Differs: nothing.
    Raises KeyError if `layer` is not tagged; ValueError if it is not [h w c] or the score is not one number.
    """
    return _of_slopes(f, score, layer, lambda h, g: jax.nn.relu((h * jax.nn.relu(g)).sum(-1)))


def _of_slopes(f: Network, score: Score, layer: str, weigh: Callable[[jax.Array, jax.Array], jax.Array]) -> Explain:
    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        h, tail = spatial_layer(f, layer, params, as_float(obs), *rest)
        slope = jax.grad(lambda h: evaluate(score, tail(h)))(h)
        return weigh(h.astype(jnp.float32), slope.astype(jnp.float32))

    return explain
