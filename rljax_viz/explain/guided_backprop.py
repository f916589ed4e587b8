"""Guided backpropagation: the gradient that only passes what is positive both ways."""

from rljax_viz.explain.contract import Explain, Network, Score
from rljax_viz.explain.gradient import gradient
from rljax_viz.transforms import guided


def guided_backprop(f: Network, score: Score) -> Explain:
    """The gradient of `guided(f)`: every ReLU sends back g where its input AND g are positive, else zero.

    explain(params, obs, *rest) -> float32, shape of `obs`, score units per unit of `obs`.
    Springenberg et al. 2015, sec. 3.4, arXiv:1412.6806. Differs: nothing.
    Raises ValueError if `f` holds no ReLU that `guided` knows, or if the score is not one number.
    """
    return gradient(guided(f), score)
