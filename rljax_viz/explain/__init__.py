"""Methods, each a function transform: `method(f, score, **static)` gives `explain(params, obs, *rest) -> map`.

To add one, copy `gradient.py`, and give it a line in `METHODS`.
"""

from rljax_viz.explain import scores
from rljax_viz.explain.attention_map import attention_map
from rljax_viz.explain.cams import grad_cam_plus_plus, hires_cam, layer_cam
from rljax_viz.explain.contract import Explain, Method, Network, Score
from rljax_viz.explain.counterfactual import counterfactual
from rljax_viz.explain.deconvnet import deconvnet
from rljax_viz.explain.deep_lift import deep_lift
from rljax_viz.explain.expected_gradients import expected_gradients
from rljax_viz.explain.grad_cam import g1_grad_cam, grad_cam
from rljax_viz.explain.gradient import gradient
from rljax_viz.explain.guided_backprop import guided_backprop
from rljax_viz.explain.guided_grad_cam import g2_grad_cam, guided_grad_cam
from rljax_viz.explain.input_x_gradient import input_x_gradient
from rljax_viz.explain.integrated_gradients import integrated_gradients
from rljax_viz.explain.jacobian import jacobian
from rljax_viz.explain.layer_integrated_gradients import layer_integrated_gradients
from rljax_viz.explain.lrp import lrp
from rljax_viz.explain.many import explain_many
from rljax_viz.explain.occlusion import occlusion
from rljax_viz.explain.on_layer import on_layer
from rljax_viz.explain.past_frames import past_frames
from rljax_viz.explain.perturbation import perturbation, sarfa
from rljax_viz.explain.record import record
from rljax_viz.explain.rise import rise, rise_masks
from rljax_viz.explain.scaling import scale_global, scale_per_episode, scale_per_frame
from rljax_viz.explain.score_cam import score_cam
from rljax_viz.explain.smooth import smooth, smooth_grad, var_grad
from rljax_viz.explain.stack import last_frame, per_frame, sum_abs
from rljax_viz.explain.unroll import unroll
from rljax_viz.images import upsample

METHODS: dict[str, Method] = {
    "gradient": Method(gradient),
    "input_x_gradient": Method(input_x_gradient),
    "guided_backprop": Method(guided_backprop),
    "deconvnet": Method(deconvnet),
    "smooth_grad": Method(smooth_grad, random=True),
    "integrated_gradients": Method(integrated_gradients),
    "expected_gradients": Method(expected_gradients, random=True, needs=("baselines",)),
    "layer_integrated_gradients": Method(layer_integrated_gradients, needs_layer=True, resolution="layer"),
    "deep_lift": Method(deep_lift),
    "lrp": Method(lrp),
    "grad_cam": Method(grad_cam, needs_layer=True, resolution="layer", stacked=False),
    "g1_grad_cam": Method(g1_grad_cam, needs_layer=True, resolution="layer", stacked=False),
    "grad_cam_plus_plus": Method(grad_cam_plus_plus, needs_layer=True, resolution="layer", stacked=False),
    "hires_cam": Method(hires_cam, needs_layer=True, resolution="layer", stacked=False),
    "layer_cam": Method(layer_cam, needs_layer=True, resolution="layer", stacked=False),
    "score_cam": Method(score_cam, needs_layer=True, resolution="layer", stacked=False),
    "guided_grad_cam": Method(guided_grad_cam, needs_layer=True),
    "g2_grad_cam": Method(g2_grad_cam, needs_layer=True),
    "occlusion": Method(occlusion, stacked=False, options={"window": 8, "stride": 4}),
    "perturbation": Method(perturbation, vector=True, resolution="grid", stacked=False),
    "sarfa": Method(sarfa, vector=True, resolution="grid", stacked=False),
    "rise": Method(rise, stacked=False, needs=("masks",)),
    "counterfactual": Method(counterfactual, vector=True, stacked=False),
}

__all__ = [
    "METHODS",
    "Explain",
    "Method",
    "Network",
    "Score",
    "attention_map",
    "counterfactual",
    "deconvnet",
    "deep_lift",
    "expected_gradients",
    "explain_many",
    "g1_grad_cam",
    "g2_grad_cam",
    "grad_cam",
    "grad_cam_plus_plus",
    "gradient",
    "guided_backprop",
    "guided_grad_cam",
    "hires_cam",
    "input_x_gradient",
    "integrated_gradients",
    "jacobian",
    "last_frame",
    "layer_cam",
    "layer_integrated_gradients",
    "lrp",
    "occlusion",
    "on_layer",
    "past_frames",
    "per_frame",
    "perturbation",
    "record",
    "rise",
    "rise_masks",
    "sarfa",
    "scale_global",
    "scale_per_episode",
    "scale_per_frame",
    "score_cam",
    "scores",
    "smooth",
    "smooth_grad",
    "sum_abs",
    "unroll",
    "upsample",
    "var_grad",
]
