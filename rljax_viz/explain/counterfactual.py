"""Counterfactual: the least that has to be blurred for the agent to do something else."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rljax_viz.explain.contract import Explain, Network, as_float, image_size
from rljax_viz.images import gaussian_blur, upsample


def counterfactual(
    f: Network,
    q: Callable[[Any], jax.Array],
    cells: int = 21,
    steps: int = 100,
    learning_rate: float = 0.1,
    sparsity: float = 1.0,
    sigma: float = 5.0,
) -> Explain:
    """The smallest blur mask found that changes the greedy action.

    explain(params, obs, *rest) -> float32 mask[H W] in 0..1: obs (1 - mask) + blurred mask has another argmax of
    `q: Output -> [A]` (q values or logits); 1 everywhere is a frame blurred by `sigma` pixels. NaN everywhere where no mask
    on the way changed it. Adam descends on a `cells` x `cells` grid of logits, upsampled: the margin of the first action
    over the best other, in units of its value on the clean frame, plus `sparsity` times the mean of the mask. The smallest
    mask met that changes the action is returned.
    Fong and Vedaldi 2017, eq. 3 and 5, arXiv:1704.03296, for the action of an agent. Differs: a margin instead of a class
    probability, no jitter.
    Raises ValueError if `q` gives no vector of two or more, or `obs` is not [H W C].
    """

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        obs = as_float(obs)
        size, blurred = image_size(obs), gaussian_blur(obs, sigma)

        def values(obs: jax.Array) -> jax.Array:
            return q(f(params, obs, *rest)).astype(jnp.float32)

        clean = values(obs)
        if clean.ndim != 1 or len(clean) < 2:
            raise ValueError(f"counterfactual needs q: Output -> [A], at least two actions; got shape {clean.shape}")
        first = clean.argmax()

        def lead(v: jax.Array) -> jax.Array:
            return v[first] - jnp.where(jnp.arange(len(v)) == first, -jnp.inf, v).max()

        unit = jnp.maximum(lead(clean), 1e-6)

        def loss(grid: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            mask = upsample(jax.nn.sigmoid(grid), size)
            margin = lead(values(obs + mask[..., None] * (blurred - obs)))
            return jax.nn.relu(margin / unit + 0.05) + sparsity * mask.mean(), (mask, margin)

        optimizer = optax.adam(learning_rate)

        def step(carry, _):
            grid, state, best, least = carry
            (_, (mask, margin)), slope = jax.value_and_grad(loss, has_aux=True)(grid)
            better = (margin < 0) & (mask.mean() < least)
            best, least = jnp.where(better, mask, best), jnp.where(better, mask.mean(), least)
            with jax.numpy_dtype_promotion("standard"):  # optax counts its steps in whole numbers
                update, state = optimizer.update(slope, state)
                grid = optax.apply_updates(grid, update)
            return (grid, state, best, least), None

        grid = jnp.zeros((cells, cells))
        start = (grid, optimizer.init(grid), jnp.full(size, jnp.nan), jnp.asarray(jnp.inf))
        return jax.lax.scan(step, start, length=steps)[0][2]

    return explain
