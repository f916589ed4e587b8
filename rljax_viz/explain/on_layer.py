"""Any method on a hidden layer instead of the observation."""

from collections.abc import Callable
from typing import Any

import jax

from rljax_viz.explain.contract import Explain, Network, Score, as_float
from rljax_viz.transforms import at_layer


def on_layer(method: Callable[..., Explain], layer: str) -> Callable[..., Explain]:
    """`method` with the activation of `layer` in place of the observation.

    on_layer(gradient, "conv2")(f, score, **static) -> explain(params, obs, *rest) -> map of the shape that `method` gives
    for a layer of that shape, e.g. [h w c]; the layers below run once. Baselines and noise are in units of activation.
    Raises KeyError if `layer` is not tagged, and what `method` raises.
    """

    def of_layer(f: Network, score: Score, **static: Any) -> Explain:
        def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
            h, tail = at_layer(f, layer)(params, as_float(obs), *rest)
            return method(lambda _, a: tail(a.astype(h.dtype)), score, **static)((), h)

        return explain

    return of_layer
