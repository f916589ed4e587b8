"""The gradient: the plainest explanation, and the file to copy for a new one."""

from typing import Any

import jax

from rljax_viz.explain.contract import Explain, Network, Score, as_float, objective


def gradient(f: Network, score: Score) -> Explain:
    """How the score answers to each pixel: d score / d obs.

    explain(params, obs, *rest) -> float32, shape of `obs`, score units per unit of `obs` (0..255 for frames).
    Simonyan et al. 2013, sec. 3, arXiv:1312.6034. Differs: signed, and no maximum over channels.
    Raises ValueError if the score is not one number.
    """
    slope = jax.grad(objective(f, score), argnums=1)

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        return slope(params, as_float(obs), *rest)

    return explain
