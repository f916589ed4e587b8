"""Are the maps true? Against human gaze; functions of arrays, which import no method, no network and no environment."""

from collections.abc import Callable

from rljax_viz.measure.gaze import kl_divergence, nss, shuffled_auc, shuffled_auc_expected

#: name on the command line -> function
METRICS: dict[str, Callable] = {
    "nss": nss,
    "kl_divergence": kl_divergence,
    "shuffled_auc": shuffled_auc,
    "shuffled_auc_expected": shuffled_auc_expected,
}

__all__ = ["METRICS", "kl_divergence", "nss", "shuffled_auc", "shuffled_auc_expected"]
