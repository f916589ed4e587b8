"""Captum's methods by its public API, each at its best: `METHODS[name](net, variant)(x[N 4 84 84]) -> map`."""

from collections.abc import Callable
from typing import Any

import torch
from captum.attr import (
    Deconvolution,
    GuidedBackprop,
    GuidedGradCam,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    LayerIntegratedGradients,
    NoiseTunnel,
    Occlusion,
    Saliency,
)

from .nature_torch import Nature, Value

Maps = Callable[[torch.Tensor], torch.Tensor]


def _simple(tool: type, **options: Any) -> Callable[[Nature, Any], Maps]:
    def make(net: Nature, variant: Any) -> Maps:
        attribute = tool(Value(net)).attribute
        return lambda x: attribute(x.requires_grad_(), **options)

    return make


def _grad_cam(net: Nature, variant: Any) -> Maps:
    model = Value(net)
    attribute = LayerGradCam(model, net.layer("conv1")).attribute
    return lambda x: attribute(x, relu_attributions=True)[:, 0]


def _guided_grad_cam(net: Nature, variant: Any) -> Maps:
    attribute = GuidedGradCam(Value(net), net.layer("conv1")).attribute
    return lambda x: attribute(x.requires_grad_(), interpolate_mode="bilinear")


def _integrated(steps: int) -> Callable[[Nature, int | None], Maps]:
    def make(net: Nature, variant: int | None) -> Maps:
        attribute = IntegratedGradients(Value(net)).attribute
        options = {"n_steps": steps, "method": "gausslegendre", "internal_batch_size": variant}
        return lambda x: attribute(x, baselines=0.0, **options)

    return make


def _layer_integrated(net: Nature, variant: int | None) -> Maps:
    """From the activation of a black frame; Captum has no way to begin at the zero activation."""
    model = Value(net)
    attribute = LayerIntegratedGradients(model, net.layer("conv3")).attribute
    return lambda x: attribute(x, baselines=0.0, n_steps=10, internal_batch_size=variant)


def _smooth_grad(net: Nature, variant: int | None) -> Maps:
    attribute = NoiseTunnel(Saliency(Value(net))).attribute
    options = {"nt_type": "smoothgrad", "nt_samples": 16, "nt_samples_batch_size": variant, "stdevs": 38.0, "abs": False}
    return lambda x: attribute(x.requires_grad_(), **options)


def _occlusion(net: Nature, variant: int | None) -> Maps:
    attribute = Occlusion(Value(net)).attribute
    windows = {"sliding_window_shapes": (4, 8, 8), "strides": (4, 4, 4), "perturbations_per_eval": variant}

    def maps(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return attribute(x, baselines=0.0, **windows)[:, 0]

    return maps


METHODS = {
    "layer_integrated_gradients_conv3": _layer_integrated,
    "smooth_grad_16": _smooth_grad,
    "smooth_grad_16_own_noise": _smooth_grad,
    "occlusion_8_4": _occlusion,
    "gradient": _simple(Saliency, abs=False),
    "input_x_gradient": _simple(InputXGradient),
    "guided_backprop": _simple(GuidedBackprop),
    "deconvnet": _simple(Deconvolution),
    "grad_cam_conv1": _grad_cam,
    "guided_grad_cam_conv1": _guided_grad_cam,
    "integrated_gradients_10": _integrated(10),
    "integrated_gradients_50": _integrated(50),
}


def variants(name: str, batch: int) -> list[int | None]:
    """What there is to choose for a method at a batch size: how many points of the path (or windows) are alive at once."""
    if name == "occlusion_8_4":
        return [n for n in (16, 64, 128) if n * batch <= 512]
    if name.startswith("smooth_grad"):
        return [n for n in (1, 4, 16) if n * batch <= 2048]
    if "integrated_gradients" not in name:
        return [None]
    points = batch * (10 if name.startswith("layer") else int(name.rpartition("_")[2]))
    return [n for n in (128, 512, 2048) if batch <= n < points] + ([None] if points <= 4096 else [])
