"""The attention that is built into a network, drawn where it looks in the frame."""

from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network
from rljax_viz.transforms import activations

Numbers = int | tuple[int, ...]


def attention_map(
    f: Network,
    layer: str | tuple[str, ...] = "attention",
    receptive_field: Numbers = 36,
    stride: Numbers = 8,
    padding: Numbers = 0,
    size: tuple[int, int] = (84, 84),
) -> Explain:
    """Every pixel of an attention layer, drawn as the square of the frame that it sees; squares add up.

    explain(params, obs, *rest) -> float32 map[H W] of `size`, clamped at 0, raw: scale it over an episode with
    `scale_per_episode`. `layer` is a tagged activation [h w]; `networks.ATTENTION[name]` has the numbers: side of the
    square, step and padding, all in pixels of the frame, so that receptive_field + (h - 1) * stride - 2 * padding is H.
    Several layers are added up on the grid of the first: then `receptive_field`, `stride` and `padding` are tuples, the
    first entry from that grid to the frame, each other one from its layer to the grid.
    Nikulin et al. 2019, arXiv:1908.02511, section 3: a transposed convolution with a kernel of ones. Differs: nothing.
    Raises KeyError for a missing tag; ValueError for a layer that is not [h w], or numbers that do not give `size`.
    """
    layers = (layer,) if isinstance(layer, str) else tuple(layer)
    steps = [n if isinstance(n, tuple) else (n,) * len(layers) for n in (receptive_field, stride, padding)]
    if not layers or any(len(step) != len(layers) for step in steps):
        raise ValueError(f"one receptive field, stride and padding for each of {list(layers)}, got {steps}")

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        _, found = activations(f, layers)(params, obs, *rest)
        for name, h in found.items():
            if h.ndim != 2:
                raise ValueError(f"{name!r} is {list(h.shape)}, an attention layer is [h w]; explain.grad_cam takes [h w c]")
        first, *others = layers
        grid = found[first].astype(jnp.float32)
        for name, *numbers in zip(others, *(step[1:] for step in steps), strict=True):
            grid = grid + _drawn(found[name].astype(jnp.float32), name, grid.shape, *numbers)
        drawn = _drawn(grid, first, size, *(step[0] for step in steps))
        return jnp.maximum(drawn, 0.0)

    return explain


def _drawn(h: jax.Array, name: str, size: tuple[int, ...], field: int, stride: int, padding: int) -> jax.Array:
    """h[h w] as overlapping squares of side `field`, `stride` apart, on a map of `size`, its border of `padding` cut off."""
    got = tuple(field + (n - 1) * stride - 2 * padding for n in h.shape)
    if got != tuple(size):
        raise ValueError(
            f"{name!r} of {list(h.shape)} drawn with receptive field {field}, stride {stride}, padding {padding} is "
            f"{list(got)}, not {list(size)}: see networks.ATTENTION for the numbers of a network, or change size"
        )
    edge = (field - 1 - padding, field - 1 - padding)
    return jax.lax.conv_general_dilated(
        h[None, ..., None], jnp.ones((field, field, 1, 1)), (1, 1), [edge, edge], lhs_dilation=(stride, stride),
        dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest",
    )[0, ..., 0]  # fmt: skip
