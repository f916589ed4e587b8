"""Does a network look at what moves? Guided gradients and class activation maps on moving objects, and over the picture.

Rosynski et al. 2020, arXiv:2012.01281, section 6: agents that learn strengthen guided gradients of both signs on moving
objects, and G1-Grad-CAM gathers on them. Numbers to follow over training, without a verdict.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.images import upsample
from rljax_viz.measure.health import Finding
from rljax_viz.transforms import guided, relu_count


def moving(obs: np.ndarray, channels: int) -> np.ndarray:
    """bool [T-1 H W] of obs[T H W C], steps in a row: where the newest frame differs from that of the step before."""
    newest = np.asarray(obs)[..., -channels:]
    return (newest[1:] != newest[:-1]).any(-1)


def guided_focus(
    f: Callable, score: Callable, params: Any, obs: np.ndarray, channels: int, *rest: Any, stream: str = "score"
) -> list[Finding]:
    """How strong are positive and negative guided gradients of the newest frame on what moves in obs[T H W C]?

    Two numbers a sign: the mean size on moving pixels, in units of the score per unit of obs, and that mean over the mean of
    the whole picture: 1 is chance. Nothing for a network without a ReLU, or where nothing moves.
    """
    rows = (jnp.asarray(obs, jnp.float32), *rest)
    where = moving(obs, channels)
    if not _has_relu(f, params, rows) or not where.any():
        return []
    maps = np.asarray(_guided(f, score, params, rows), np.float64)[1:, ..., -channels:].sum(-1)
    found = []
    for sign, part in (("positive", np.maximum(maps, 0)), ("negative", np.maximum(-maps, 0))):
        strength, over = _strength(part, where)
        check, says = f"guided gradient of {stream}", _share(over, where)
        found.append(Finding(check, f"{sign}, on what moves", strength, "ok", says))
        found.append(Finding(check, f"{sign}, moving over whole", over, "ok", says))
    return found


def cam_focus(
    explain: Callable, params: Any, obs: np.ndarray, channels: int, *rest: Any, name: str = "G1-Grad-CAM"
) -> list[Finding]:
    """How much of explain(params, obs, *rest) -> map[h w] lies on what moves in obs[T H W C]?

    The number is the mean of the map on moving pixels over its mean on the whole picture: 1 is chance, 0 an empty map.
    Nothing where nothing moves.
    """
    where = moving(obs, channels)
    if not where.any():
        return []
    maps = np.asarray(_maps(explain, params, (jnp.asarray(obs, jnp.float32), *rest)), np.float64)[1:]
    _, over = _strength(maps, where)
    says = _share(over, where) if maps.any() else "the map is 0 everywhere"
    return [Finding(name, "moving over whole", over, "ok", says)]


def _strength(maps: np.ndarray, where: np.ndarray) -> tuple[float, float]:
    """Mean of maps >= 0 where something moves, and that over their mean everywhere; (0, 0) of an empty map."""
    on, all = float(maps[where].mean()), float(maps.mean())
    return on, on / all if all > 0 else 0.0


def _share(over: float, where: np.ndarray) -> str:
    area = float(where.mean())
    return f"{over * area:.0%} of it lies on what moves, {area:.1%} of the picture"


def _has_relu(f: Callable, params: Any, rows: tuple) -> bool:
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), rows)
    return relu_count(f)(params, *one) > 0


@functools.partial(jax.jit, static_argnums=(0, 1))
def _guided(f: Callable, score: Callable, params: Any, rows: tuple) -> jax.Array:
    slope = jax.grad(lambda one, *more: score(guided(f)(params, one, *more)))
    return jax.lax.map(lambda one: slope(*one), rows)


@functools.partial(jax.jit, static_argnums=0)
def _maps(explain: Callable, params: Any, rows: tuple) -> jax.Array:
    size = rows[0].shape[1:3]
    return jax.lax.map(lambda one: upsample(explain(params, *one), size), rows)
