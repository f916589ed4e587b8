"""Methods, each a function transform: `method(f, score, **static)` gives `explain(params, obs, *rest) -> map`.

To add one, copy `gradient.py`, and give it a line in `METHODS`.
"""

from rljax_viz.explain import scores
from rljax_viz.explain.contract import Explain, Method, Network, Score
from rljax_viz.explain.deconvnet import deconvnet
from rljax_viz.explain.grad_cam import g1_grad_cam, grad_cam
from rljax_viz.explain.gradient import gradient
from rljax_viz.explain.guided_backprop import guided_backprop
from rljax_viz.explain.guided_grad_cam import g2_grad_cam, guided_grad_cam
from rljax_viz.explain.input_x_gradient import input_x_gradient
from rljax_viz.explain.integrated_gradients import integrated_gradients
from rljax_viz.explain.layer_integrated_gradients import layer_integrated_gradients
from rljax_viz.explain.many import explain_many
from rljax_viz.explain.record import record
from rljax_viz.explain.stack import last_frame
from rljax_viz.explain.unroll import unroll
from rljax_viz.images import upsample

METHODS: dict[str, Method] = {
    "gradient": Method(gradient),
    "input_x_gradient": Method(input_x_gradient),
    "guided_backprop": Method(guided_backprop),
    "deconvnet": Method(deconvnet),
    "integrated_gradients": Method(integrated_gradients),
    "layer_integrated_gradients": Method(layer_integrated_gradients, needs_layer=True, resolution="layer"),
    "grad_cam": Method(grad_cam, needs_layer=True, resolution="layer"),
    "g1_grad_cam": Method(g1_grad_cam, needs_layer=True, resolution="layer"),
    "guided_grad_cam": Method(guided_grad_cam, needs_layer=True),
    "g2_grad_cam": Method(g2_grad_cam, needs_layer=True),
}

__all__ = [
    "METHODS",
    "Explain",
    "Method",
    "Network",
    "Score",
    "deconvnet",
    "explain_many",
    "g1_grad_cam",
    "g2_grad_cam",
    "grad_cam",
    "gradient",
    "guided_backprop",
    "guided_grad_cam",
    "input_x_gradient",
    "integrated_gradients",
    "last_frame",
    "layer_integrated_gradients",
    "record",
    "scores",
    "unroll",
    "upsample",
]
