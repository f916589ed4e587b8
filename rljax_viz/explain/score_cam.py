"""Score-CAM: channels weighted by what the network says of the frame seen through them; no gradients."""

from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, image_size, objective
from rljax_viz.explain.grad_cam import spatial_layer
from rljax_viz.explain.variants import over_variants
from rljax_viz.images import upsample


def score_cam(f: Network, score: Score, layer: str) -> Explain:
    """Where in `layer` the score comes from: each channel masks the frame, and the score that is left weights it.

    explain(params, obs, *rest) -> float32 map[h w] at the resolution of `layer`: rectified sum of the channels with
    softmax(score) as weights, in units of activation. A channel is upsampled and stretched to 0..1 to be a mask; one that
    is constant hides everything.
    Wang et al. 2020, algorithm 1, arXiv:1910.01279. Differs: nothing (the score of an empty frame, which they subtract,
    cancels in the softmax).
    Raises KeyError if `layer` is not tagged; ValueError if it is not [h w c] or the score is not one number.
    """
    scored = objective(f, score)

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        obs = as_float(obs)
        h, _ = spatial_layer(f, layer, params, obs, *rest)
        h = h.astype(jnp.float32)

        def left(channel: jax.Array) -> jax.Array:
            mask = upsample(channel, image_size(obs))
            low, high = mask.min(), mask.max()
            mask = jnp.where(high > low, (mask - low) / jnp.where(high > low, high - low, 1), 0)
            return scored(params, obs * mask[..., None], *rest)

        weights = jax.nn.softmax(over_variants(left, jnp.moveaxis(h, -1, 0), batch=16))
        return jax.nn.relu(jnp.einsum("hwc,c->hw", h, weights, precision="highest"))

    return explain
