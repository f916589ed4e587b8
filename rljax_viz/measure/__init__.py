"""Are the maps true? Against human gaze, against each other; is the network learning? And statistics over seeds.

Functions of arrays, importing no method and no network.
"""

from collections.abc import Callable

from rljax_viz.measure.agreement import agreement, image_space_action
from rljax_viz.measure.correlation import pearson, ranks, spearman
from rljax_viz.measure.focus import cam_focus, guided_focus
from rljax_viz.measure.gaze import kl_divergence, nss, shuffled_auc, shuffled_auc_expected
from rljax_viz.measure.health import (
    Finding,
    dead_units,
    faint_layers,
    frames_used,
    memory_used,
    merged_streams,
    reached,
    stacking,
)
from rljax_viz.measure.statistics import Interval, interquartile_mean, probability_of_improvement, stratified_bootstrap

#: name on the command line -> function
METRICS: dict[str, Callable] = {
    "nss": nss,
    "kl_divergence": kl_divergence,
    "shuffled_auc": shuffled_auc,
    "shuffled_auc_expected": shuffled_auc_expected,
    "pearson": pearson,
    "spearman": spearman,
}

__all__ = [
    "METRICS",
    "Finding",
    "Interval",
    "agreement",
    "cam_focus",
    "dead_units",
    "faint_layers",
    "frames_used",
    "guided_focus",
    "image_space_action",
    "interquartile_mean",
    "kl_divergence",
    "memory_used",
    "merged_streams",
    "nss",
    "pearson",
    "probability_of_improvement",
    "ranks",
    "reached",
    "shuffled_auc",
    "shuffled_auc_expected",
    "spearman",
    "stacking",
    "stratified_bootstrap",
]
