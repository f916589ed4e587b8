"""Class activation maps by gradients, plain and guided above the layer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, evaluate
from rljax_viz.transforms import at_layer, channel_slope, guided


def grad_cam(f: Network, score: Score, layer: str) -> Explain:
    """Where in `layer` the score grows: activations weighted by the mean slope of their channel, rectified.

    explain(params, obs, *rest) -> float32 map[h w], score units, not divided, at the resolution of `layer`.
    Selvaraju et al. 2017, eq. 1-2, arXiv:1610.02391. Differs: nothing; `upsample` brings it to the size of the frame.
    Raises KeyError if `layer` is not tagged; ValueError if it is not [h w c] or the score is not one number.
    """

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        h, tail = spatial_layer(f, layer, params, as_float(obs), *rest)
        slope = channel_slope(lambda h: evaluate(score, tail(h)))(h)
        weights = slope / (h.shape[0] * h.shape[1])
        return jax.nn.relu(jnp.einsum("hwc,c->hw", h.astype(jnp.float32), weights, precision="highest"))

    return explain


def g1_grad_cam(f: Network, score: Score, layer: str) -> Explain:
    """Grad-CAM whose slopes come from guided backpropagation: guided strictly above `layer`, below the score.

    explain(params, obs, *rest) -> float32 map[h w], score units, not divided, at the resolution of `layer`.
    Rosynski et al. 2020, sec. 3 (G1Grad-CAM). Differs: FACTS R9, the ReLU that makes `layer` itself is not guided, as
    in the authors' code; FACTS R1, weights are means over height and width, which their code mixes up.
    Raises KeyError if `layer` is not tagged; ValueError if it is not [h w c], if `f` holds no ReLU, or if the score is
    not one number.
    """
    return grad_cam(guided(f), score, layer)  # at_layer differentiates the rest above the tag only


def spatial_layer(f: Network, layer: str, params: Any, obs: jax.Array, *rest: Any) -> tuple[jax.Array, Callable]:
    """`at_layer`, for methods that need a layer with places: (h[h w c], tail). ValueError for another rank."""
    h, tail = at_layer(f, layer)(params, obs, *rest)
    if h.ndim != 3:
        raise ValueError(
            f"a class activation map (Grad-CAM and its kin) needs a layer [h w c], but {layer!r} has shape {h.shape}; "
            "name a convolution, e.g. layer='conv1' (tags(f)(params, obs) lists what there is)"
        )
    return h, tail
