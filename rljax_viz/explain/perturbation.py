"""Perturbation: how much the outputs change when a spot of the frame is blurred."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.explain.contract import Explain, Network, as_float, image_size
from rljax_viz.explain.variants import over_variants
from rljax_viz.images import blur_matrix, gaussian_blur
from rljax_viz.transforms import separable_prefix


def perturbation(
    f: Network, vector: Callable[[Any], jax.Array], radius: float = 5, stride: int = 5, sigma: float = 3.0
) -> Explain:
    """Half the squared change of an output when the frame is blurred around a spot.

    explain(params, obs, *rest) -> float32 GRID [ceil(H/stride) ceil(W/stride)] (84x84: 17x17), centres 0, stride, ...;
    units of the output squared. `vector: Output -> [n]` or a scalar: `lambda out: out.logits` (actor), `out.value` (critic).
    The spot is a plus of five pixels, blurred by `radius`, at most 1; what shows through it is the frame blurred by
    `sigma`, each frame of the stack for itself. A recurrent agent gets its carry through `rest`.
    Greydanus et al. 2018, eq. 1-3, arXiv:1711.00138. Differs: their last row and column stay 0 where `stride` divides the
    size (FACTS, Greydanus), here all centres are filled; `upsample` brings the grid to the size of the frame.
    Raises ValueError if `obs` is not [H W C], or for a stride < 1.
    """

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        image_size(obs)  # checks

        def outputs(out: Any) -> jax.Array:
            return jnp.atleast_1d(vector(out)).astype(jnp.float32)

        clean = outputs(f(params, as_float(obs), *rest))

        def change(out: Any) -> jax.Array:
            return 0.5 * ((outputs(out) - clean) ** 2).sum()

        return over_spots(f, change, params, obs, rest, radius, stride, sigma)

    return explain


def sarfa(
    f: Network,
    q: Callable[[Any], jax.Array],
    action: int | None = None,
    radius: float = 5,
    stride: int = 5,
    sigma: float = 3.0,
) -> Explain:
    """What matters for one action and for no other: specific and relevant feature attribution.

    explain(params, obs, *rest) -> float32 grid as of `perturbation`, 0..1: the harmonic mean of the drop of the action's
    softmax probability and of how little the others change among themselves; 0 where the probability does not drop.
    `q: Output -> [A]`; `action` None is the greedy one of the clean frame.
    Puri et al. 2020, eq. 1-3, arXiv:1912.12191. Differs: nothing; KL is of (before, after), as in the authors' code.
    Raises ValueError if `q` gives no vector, for an action that it lacks, or if `obs` is not [H W C].
    """

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        image_size(obs)  # checks

        def values(out: Any) -> jax.Array:
            return q(out).astype(jnp.float32)

        clean = values(f(params, as_float(obs), *rest))
        if clean.ndim != 1 or not -1 < (action or 0) < len(clean) or len(clean) < 2:
            raise ValueError(f"sarfa needs q: Output -> [A] and an action below A; got shape {clean.shape}, action {action}")
        chosen = clean.argmax() if action is None else jnp.asarray(action)
        return over_spots(f, lambda out: _salience(clean, values(out), chosen), params, obs, rest, radius, stride, sigma)

    return explain


def _salience(before: jax.Array, after: jax.Array, action: jax.Array) -> jax.Array:
    drop = (jax.nn.softmax(before) - jax.nn.softmax(after))[action]
    others = jnp.arange(len(before)) != action
    log_p, log_r = (jax.nn.log_softmax(jnp.where(others, v, -jnp.inf)) for v in (before, after))
    terms = jnp.where(others, jnp.exp(log_p) * (jnp.where(others, log_p, 0) - jnp.where(others, log_r, 0)), 0)
    kept = 1 / (1 + terms.sum())
    return jnp.where(drop > 0, 2 * drop * kept / jnp.where(drop > 0, drop + kept, 1), 0)


def over_spots(
    f: Network, measure: Callable[[Any], jax.Array], params: Any, obs: jax.Array, rest: tuple,
    radius: float, stride: int, sigma: float,
) -> jax.Array:  # fmt: skip
    """measure(Output of obs blurred at a spot) -> scalar, for every spot of the grid: [ceil(H/stride) ceil(W/stride)].

    A spot has rank two: the first convolution of `f` runs twice a row of the grid, and not at every spot.
    """
    if stride < 1:
        raise ValueError(f"the grid of spots needs a stride of at least one pixel, got {stride}")
    obs = as_float(obs)
    rows, columns = (_spots(size, float(radius), stride) for size in image_size(obs))
    along, tail = separable_prefix(f)(params, obs, gaussian_blur(obs, sigma) - obs, *rest)

    def in_row(row: dict[str, jax.Array]) -> jax.Array:
        down = jnp.stack([row["near"], row["centre"]])
        blurred = along(down)

        def at(column: dict[str, jax.Array]) -> jax.Array:
            across = jnp.stack([column["centre"], column["sides"]])
            highest = jnp.einsum("rh,rw->hw", down, across, precision="highest").max()
            return measure(tail(blurred(across / highest)))

        return over_variants(at, columns)

    return over_variants(in_row, rows, batch=1)


@functools.cache
def _spots(size: int, radius: float, stride: int) -> dict[str, np.ndarray]:
    """The plus of five pixels is (near x centre) + (centre x sides); blurred along one axis, for each centre: [n size]."""
    blur = blur_matrix(size, radius)  # column j: what the blur makes of a line with one pixel, j
    centres = np.arange(0, size, stride)
    empty = np.zeros((len(centres), size), np.float32)
    below = np.where((centres > 0)[:, None], blur[:, np.maximum(centres - 1, 0)].T, empty)
    above = np.where((centres < size - 1)[:, None], blur[:, np.minimum(centres + 1, size - 1)].T, empty)
    centre = blur[:, centres].T
    return {"centre": centre, "sides": below + above, "near": below + centre + above}

