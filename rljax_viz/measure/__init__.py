"""Are the maps true? Against human gaze, against each other; functions of arrays, importing no method and no network."""

from collections.abc import Callable

from rljax_viz.measure.correlation import pearson, ranks, spearman
from rljax_viz.measure.gaze import kl_divergence, nss, shuffled_auc, shuffled_auc_expected

#: name on the command line -> function
METRICS: dict[str, Callable] = {
    "nss": nss,
    "kl_divergence": kl_divergence,
    "shuffled_auc": shuffled_auc,
    "shuffled_auc_expected": shuffled_auc_expected,
    "pearson": pearson,
    "spearman": spearman,
}

__all__ = ["METRICS", "kl_divergence", "nss", "pearson", "ranks", "shuffled_auc", "shuffled_auc_expected", "spearman"]
