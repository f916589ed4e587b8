"""Gradients gathered along a straight path, in memory that does not grow with the number of steps."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.transforms import linear_prefix

Rule = Literal["gauss_legendre", "midpoint", "right"]


def quadrature(rule: Rule, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1], weights summing to 1: float32 [steps] each.

    `gauss_legendre` is exact for polynomials of degree 2*steps - 1; `midpoint` takes (k + 1/2)/steps; `right` takes
    1/steps ... 1. Raises ValueError for an unknown rule or steps < 1.
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"a path needs a whole number of steps >= 1, got steps={steps!r}")
    steps = int(steps)
    if rule == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        nodes, weights = (nodes + 1) / 2, weights / 2
    elif rule == "midpoint":
        nodes, weights = (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    elif rule == "right":
        nodes, weights = np.arange(1, steps + 1) / steps, np.full(steps, 1 / steps)
    else:
        raise ValueError(f"rule={rule!r} is unknown; choose 'gauss_legendre' or 'midpoint'")
    return nodes.astype(np.float32), weights.astype(np.float32)


def straight_gradient(
    function: Callable[[jax.Array], jax.Array], start: jax.Array, end: jax.Array, nodes: np.ndarray, weights: np.ndarray
) -> jax.Array:
    """sum_k weights[k] * grad function(start + nodes[k] * (end - start)), float32 of the shape of `start`.

    What of `function` is affine at its beginning runs forward twice and backward once, whatever the number of nodes: a
    straight path stays straight behind it, and its pullback is the same at every point.
    """

    def cut(x: jax.Array) -> tuple[Any, Callable[[Any], jax.Array]]:
        return linear_prefix(lambda _, x: function(x))(None, x)

    z_start, tail = cut(start)
    z_end, pullback = jax.vjp(lambda x: cut(x)[0], end)
    step = jax.tree.map(jnp.subtract, z_end, z_start)
    slope = path_gradient(tail, z_start, step, nodes, weights)
    (slope,) = pullback(jax.tree.map(lambda s, z: s.astype(z.dtype), slope, z_end))
    return slope.astype(jnp.float32)


def path_gradient(
    function: Callable[[Any], jax.Array], start: Any, step: Any, nodes: np.ndarray, weights: np.ndarray
) -> Any:
    """sum_k weights[k] * grad function(start + nodes[k] * step); `start`, `step` and the answer are equal pytrees.

    The answer is float32. One step is alive at a time: memory is that of one gradient, whatever the number of nodes.
    """

    def point(node: jax.Array) -> Any:
        def along(a: jax.Array, d: jax.Array) -> jax.Array:  # in float32, rounded once to the dtype of the network
            return (a.astype(jnp.float32) + node * d.astype(jnp.float32)).astype(a.dtype)

        return jax.tree.map(along, start, step)

    def add(total: Any, at: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        node, weight = at
        slope = jax.grad(function)(point(node))
        return jax.tree.map(lambda t, g: t + weight * g.astype(jnp.float32), total, slope), None

    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, jnp.float32), start)
    return jax.lax.scan(add, zero, (jnp.asarray(nodes), jnp.asarray(weights)))[0]
