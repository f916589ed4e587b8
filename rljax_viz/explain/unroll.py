"""A recurrent agent as one function of a window of past frames, so that every method can look back in time."""

from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Network


def unroll(cell: Network, initial_carry: Any = None) -> Network:
    """`cell` run over a window of frames; the explanation of its last output is a map of every frame.

    cell(params, obs, carry, *rest) -> Output whose `carry` is the next carry;
    unroll(cell)(params, window[T H W C], carry, *rest) -> Output of the last step; maps are [T H W C].
    Where the call gives no carry, `initial_carry` is used; where that is None too, zeros of the shapes in
    `cell(params, obs, None).carry` (only its shapes are asked for), the usual start of an episode.
    Tags inside `cell` come back stacked on axis 0, one entry a frame.
    Raises ValueError for an empty window, and if the carry is unknown.
    """

    def unrolled(params: Any, window: jax.Array, *rest: Any) -> Any:
        if window.ndim < 1 or window.shape[0] < 1:
            raise ValueError(f"unroll takes a window [T H W C] of at least one frame, got shape {window.shape}")
        carry, *more = rest if rest else (initial_carry,)
        if carry is None:
            carry = _zero_carry(cell, params, window[0], more)

        def step(carry: Any, obs: jax.Array) -> tuple[Any, Any]:
            out = cell(params, obs, carry, *more)
            return out.carry, out

        _, outs = jax.lax.scan(step, carry, window)
        return jax.tree.map(lambda x: x[-1], outs)

    return unrolled


def _zero_carry(cell: Network, params: Any, obs: jax.Array, more: list) -> Any:
    fix = "give it: unroll(cell, initial_carry=...) or unroll(cell)(params, window, carry)"
    try:
        shapes = jax.eval_shape(cell, params, obs, None, *more).carry
    except Exception as error:
        raise ValueError(f"cell(params, obs, None) does not tell the shapes of its carry ({error}); {fix}") from error
    if shapes is None:
        raise ValueError(f"the cell's Output.carry is None, so there is nothing to unroll; {fix}")
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
