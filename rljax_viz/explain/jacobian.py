"""The slopes of all outputs at once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, as_float


def jacobian(f: Network, vector: Callable[[Any], jax.Array]) -> Explain:
    """How every output answers to each pixel: d vector / d obs.

    explain(params, obs, *rest) -> float32 [n, *obs.shape], units of the output per unit of `obs`. `vector: Output -> [n]`:
    `lambda out: out.logits`, or `lambda out: jnp.stack([out.value, ...])` for any n scores. One forward pass and n
    backward ones, all at once; row i is `gradient` of output i.
    Simonyan et al. 2013, sec. 3, arXiv:1312.6034; Wang et al. 2016, sec. 4.2, arXiv:1511.06581. Differs: nothing.
    Raises ValueError if `vector` gives no vector.
    """

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        out, pullback = jax.vjp(lambda obs: vector(f(params, obs, *rest)), as_float(obs))
        if out.ndim != 1:
            raise ValueError(f"jacobian needs vector: Output -> [n], this one gave shape {out.shape}; one score: gradient")
        return jax.vmap(lambda row: pullback(row)[0])(jnp.eye(len(out), dtype=out.dtype))

    return explain
