"""What every method keeps: `method(f, score, **static) -> explain`, `explain(params, obs, *rest) -> float32 map`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

Network = Callable[..., Any]  # f(params, obs, *rest) -> Output, of ONE observation
Score = Callable[[Any], jax.Array]  # Output -> scalar: what is explained
Explain = Callable[..., jax.Array]  # explain(params, obs, *rest) -> map; explain(key, params, obs, *rest) if random


class Method(NamedTuple):
    """A row of `METHODS`: what a command line or a page must know to offer a method."""

    factory: Callable[..., Explain]
    needs_layer: bool = False  # factory(f, score, layer)
    random: bool = False  # explain(key, params, obs, *rest)
    resolution: Literal["obs", "layer", "grid"] = "obs"  # whose height and width the map has
    vector: bool = False  # factory(f, vector): all outputs of one kind at once (`scores.vector`), not one score
    stacked: bool = True  # the map has the channels of the stack (or of the layer); else it is one picture
    options: Mapping[str, Any] = MappingProxyType({})  # static choices that it cannot do without, where none are given
    needs: tuple[str, ...] = ()  # arguments by name that only the data can give: "baselines", "masks"


def as_float(obs: Any) -> jax.Array:
    """`obs` as float32 of the same values (0..255 stays 0..255), so that it can be differentiated."""
    return jnp.asarray(obs).astype(jnp.float32)


def evaluate(score: Score, out: Any) -> jax.Array:
    """score(out) as a float32 scalar; ValueError if it is none."""
    y = jnp.asarray(score(out))
    if y.shape != () or not jnp.issubdtype(y.dtype, jnp.floating):
        raise ValueError(
            f"a score gives ONE floating number, this one gave shape {y.shape} of {y.dtype}. Choose a unit, e.g. "
            "scores.logit(3) or lambda out: out.q.max(); for a batch of observations: jax.vmap(explain, (None, 0))"
        )
    return y.astype(jnp.float32)


def objective(f: Network, score: Score) -> Callable[..., jax.Array]:
    """The function that methods differentiate: (params, obs, *rest) -> float32 scalar score(f(params, obs, *rest))."""

    def scored(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        return evaluate(score, f(params, obs, *rest))

    return scored


def image_size(obs: jax.Array) -> tuple[int, int]:
    """(H, W) of one observation [H W C]; ValueError for another rank."""
    if obs.ndim != 3:
        raise ValueError(
            f"this method needs one observation [H W C], got shape {obs.shape}; "
            "grey [H W] needs a channel: obs[..., None]; for a batch: jax.vmap(explain, (None, 0))"
        )
    return obs.shape[0], obs.shape[1]


def full_baseline(baseline: float | jax.Array, obs: jax.Array) -> jax.Array:
    """`baseline` as float32 of the shape of `obs`; ValueError for another shape."""
    given = as_float(baseline)
    if given.shape not in ((), obs.shape):
        raise ValueError(
            f"the baseline has shape {given.shape}, the observation {obs.shape}: give a scalar or an array of the same "
            "shape, in units of obs, e.g. baseline=jnp.broadcast_to(mean_frame, obs.shape)"
        )
    return jnp.broadcast_to(given, obs.shape)
