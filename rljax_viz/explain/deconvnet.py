"""The deconvolutional network: a gradient whose ReLUs look at what comes back, not at what went in."""

from rljax_viz.explain.contract import Explain, Network, Score
from rljax_viz.explain.gradient import gradient
from rljax_viz.transforms import deconv


def deconvnet(f: Network, score: Score) -> Explain:
    """The gradient of `deconv(f)`: every ReLU sends back g where g is positive, else zero.

    explain(params, obs, *rest) -> float32, shape of `obs`, score units per unit of `obs`.
    Zeiler and Fergus 2013, sec. 2.1, arXiv:1311.2901, as the backward rule of Springenberg et al. 2015, fig. 1c.
    Differs: starts from any score, not from one feature map.
    Raises ValueError if `f` holds no ReLU that `deconv` knows, or if the score is not one number.
    """
    return gradient(deconv(f), score)
