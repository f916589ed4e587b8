"""Gradients gathered over many inputs, on a straight path or around one, in memory that does not grow with their number."""

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

    z_start, tail = _cut(function, start)
    z_end, pullback = jax.vjp(lambda x: _cut(function, x)[0], end)
    step = jax.tree.map(jnp.subtract, z_end, z_start)
    slope = path_gradient(tail, z_start, step, nodes, weights)
    (slope,) = pullback(jax.tree.map(lambda s, z: s.astype(z.dtype), slope, z_end))
    return slope.astype(jnp.float32)


def shifted_gradient(
    function: Callable[[jax.Array], jax.Array], at: jax.Array, shift: Callable[[jax.Array], jax.Array], keys: jax.Array
) -> jax.Array:
    """mean_k grad function(at + shift(keys[k])), float32 of the shape of `at`.

    What of `function` is affine at its beginning runs once on `at` and once on each shift, and backward once. Under a
    `vmap` over `at` with the same keys, a shift and what the beginning makes of it are computed once for all.
    """
    _, tail = _cut(function, at)
    z, along = jax.linearize(lambda x: _cut(function, x)[0], at)

    def add(total: Any, key: jax.Array) -> tuple[Any, None]:
        point = jax.tree.map(lambda a, d: _moved(a, 1, d), z, along(shift(key)))
        return jax.tree.map(lambda t, g: t + g.astype(jnp.float32), total, jax.grad(tail)(point)), None

    total, _ = jax.lax.scan(add, jax.tree.map(lambda a: jnp.zeros(a.shape, jnp.float32), z), keys)
    (slope,) = jax.linear_transpose(along, at)(jax.tree.map(lambda t, a: (t / len(keys)).astype(a.dtype), total, z))
    return slope.astype(jnp.float32)


def _cut(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> tuple[Any, Callable[[Any], jax.Array]]:
    """What the affine beginning of `function` makes of `x`, and the rest of `function`."""
    return linear_prefix(lambda _, x: function(x))(None, x)


def _moved(a: jax.Array, how_far: Any, d: jax.Array) -> jax.Array:
    """a + how_far * d in float32, rounded once to the dtype of the network."""
    return (a.astype(jnp.float32) + how_far * d.astype(jnp.float32)).astype(a.dtype)


def path_gradient(
    function: Callable[[Any], jax.Array], start: Any, step: Any, nodes: np.ndarray, weights: np.ndarray
) -> Any:
    """sum_k weights[k] * grad function(start + nodes[k] * step); `start`, `step` and the answer are equal pytrees.

    The answer is float32. One step is alive at a time: memory is that of one gradient, whatever the number of nodes.
    """

    def add(total: Any, at: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        node, weight = at
        slope = jax.grad(function)(jax.tree.map(lambda a, d: _moved(a, node, d), start, step))
        return jax.tree.map(lambda t, g: t + weight * g.astype(jnp.float32), total, slope), None

    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, jnp.float32), start)
    return jax.lax.scan(add, zero, (jnp.asarray(nodes), jnp.asarray(weights)))[0]
