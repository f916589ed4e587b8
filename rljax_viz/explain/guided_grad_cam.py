"""Class activation maps sharpened by guided backpropagation."""

from typing import Any

import jax

from rljax_viz.explain.contract import Explain, Network, Score, image_size
from rljax_viz.explain.grad_cam import g1_grad_cam, grad_cam
from rljax_viz.explain.guided_backprop import guided_backprop
from rljax_viz.images import upsample


def guided_grad_cam(f: Network, score: Score, layer: str) -> Explain:
    """Guided backpropagation, kept where Grad-CAM of `layer` is positive: their product.

    explain(params, obs[H W C], *rest) -> float32 [H W C], score units squared per unit of `obs`; newest frame last.
    Selvaraju et al. 2017, sec. 3.2, arXiv:1610.02391. Differs: FACTS R4, R5: rectified before resizing, as printed, and
    nothing is normalised, clipped or rectified afterwards, as the code of Rosynski et al. 2020 does.
    Raises KeyError if `layer` is not tagged; ValueError if it is not [h w c], if `obs` is not [H W C], if `f` holds no
    ReLU, or if the score is not one number.
    """
    return _sharpened(grad_cam(f, score, layer), guided_backprop(f, score))


def g2_grad_cam(f: Network, score: Score, layer: str) -> Explain:
    """Guided backpropagation, kept where G1 Grad-CAM of `layer` is positive: their product.

    explain(params, obs[H W C], *rest) -> float32 [H W C], score units squared per unit of `obs`; newest frame last.
    Rosynski et al. 2020, sec. 3 (G2Grad-CAM). Differs: FACTS R5: nothing is normalised over the video or clipped.
    Raises KeyError if `layer` is not tagged; ValueError if it is not [h w c], if `obs` is not [H W C], if `f` holds no
    ReLU, or if the score is not one number.
    """
    return _sharpened(g1_grad_cam(f, score, layer), guided_backprop(f, score))


def _sharpened(coarse: Explain, fine: Explain) -> Explain:
    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        size = image_size(obs)
        cam = upsample(coarse(params, obs, *rest), size)
        return cam[..., None] * fine(params, obs, *rest)

    return explain
