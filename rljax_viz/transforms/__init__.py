"""Transforms of any pure JAX function."""

from rljax_viz.transforms._interpret import Rule, bind
from rljax_viz.transforms.at_layer import at_layer
from rljax_viz.transforms.fast_convs import ConvReport, conv_report, fast_convs
from rljax_viz.transforms.linear_prefix import linear_prefix
from rljax_viz.transforms.relu import deconv, guided, relu_backward, relu_count, relu_operand
from rljax_viz.transforms.rewrite import rewrite
from rljax_viz.transforms.tag import activations, intervene, tag, tags

__all__ = [
    "ConvReport",
    "Rule",
    "activations",
    "at_layer",
    "bind",
    "conv_report",
    "deconv",
    "fast_convs",
    "guided",
    "intervene",
    "linear_prefix",
    "relu_backward",
    "relu_count",
    "relu_operand",
    "rewrite",
    "tag",
    "tags",
]
