"""A function beside itself at a baseline, with ReLUs that send back the slope between the two: DeepLIFT's rescale rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.transforms._interpret import Rule, contains, run, stage
from rljax_viz.transforms.relu import OPAQUE, is_relu, relu_operand


@jax.custom_vjp
def _rescaled(x: jax.Array) -> jax.Array:
    """ReLU of a pair x[2 ...], whose backward rule multiplies by (relu(x0) - relu(x1)) / (x0 - x1)."""
    return jnp.maximum(x, 0)


def _backward(x: jax.Array, g: jax.Array) -> tuple[jax.Array]:
    apart = x[0] - x[1]
    far = jnp.abs(apart) > 1e-6 * jnp.maximum(jnp.abs(x[0]), jnp.abs(x[1])).astype(x.dtype) + 1e-30
    between = (jnp.maximum(x[0], 0) - jnp.maximum(x[1], 0)) / jnp.where(far, apart, 1)
    slope = jnp.where(far, between, (x[0] > 0).astype(x.dtype))
    return (g * slope[None],)


_rescaled.defvjp(lambda x: (jnp.maximum(x, 0), x), _backward)


@jax.custom_batching.custom_vmap
def _relu(x: jax.Array) -> jax.Array:
    return jnp.maximum(x, 0)


@_relu.def_vmap
def _relu_of_a_pair(axis_size: int, batched: list[bool], x: jax.Array) -> tuple[jax.Array, bool]:
    return (_rescaled(x), True) if batched[0] else (jnp.maximum(x, 0), False)


def rescaled(f: Callable) -> Callable[[jax.Array, jax.Array], Any]:
    """`f` at `x`, as a function of the pair: gradients by `x` go by way of `baseline` through every ReLU.

    rescaled(f)(x, baseline) -> f(x); differentiate it by x: each ReLU multiplies by (relu(a) - relu(b)) / (a - b), a and b
    its input at x and at the baseline (its slope where they are equal). Shrikumar et al. 2017, eq. 10 (rescale),
    arXiv:1704.02685. Differs: nothing. Raises ValueError if `f` holds no ReLU.
    """

    def swapped(x: jax.Array) -> Any:
        staged = stage(f, (x,), {})
        rule = Rule(is_relu, lambda eqn, inputs: [_relu(inputs[relu_operand(eqn) or 0])], OPAQUE)
        if not contains(staged.jaxpr, rule):
            raise ValueError("no ReLU in this function that DeepLIFT could rescale; see transforms.relu_count")
        return run(staged, rule)[0]

    def paired(x: jax.Array, baseline: jax.Array) -> Any:
        pair = jnp.stack([x, jax.lax.stop_gradient(baseline)])
        return jax.tree.map(lambda out: out[0], jax.vmap(swapped)(pair))

    return paired
