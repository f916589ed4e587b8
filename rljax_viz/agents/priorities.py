"""Prioritised replay: what surprised the learner is drawn more often, and its gradient made smaller for it.

Schaul et al. 2016, arXiv:1511.05952, proportional variant. Instead of a tree, sums of blocks: two short scans find a draw.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Priorities(NamedTuple):
    """value[blocks size]: p_i^alpha of every place in memory, 0 where nothing may be drawn; `largest`: the largest so far."""

    value: jax.Array
    largest: jax.Array


def make_priorities(places: int) -> Priorities:
    """No place may be drawn yet; new ones come with the largest priority, 1 at first."""
    size = max(1, int(places**0.5))
    return Priorities(jnp.zeros((-(-places // size), size), jnp.float32), jnp.ones((), jnp.float32))


def put(priorities: Priorities, index: jax.Array, value: jax.Array) -> Priorities:
    """`value[n]` (p^alpha) at the places `index[n]`."""
    rows, columns = index // priorities.value.shape[1], index % priorities.value.shape[1]
    return Priorities(priorities.value.at[rows, columns].set(value), jnp.maximum(priorities.largest, value.max()))


def draw(key: jax.Array, priorities: Priorities, batch: int) -> tuple[jax.Array, jax.Array]:
    """`batch` places in proportion to their value, one from each of `batch` equal parts of the sum: `(index, probability)`.

    Section 3.3, "stratified"; appendix B.2.1 divides the range likewise.
    """
    blocks = jnp.cumsum(priorities.value.sum(1))
    total = blocks[-1]
    wanted = (jnp.arange(batch) + jax.random.uniform(key, (batch,))) / batch * total
    block = jnp.minimum(jnp.searchsorted(blocks, wanted, side="right"), len(blocks) - 1)
    inside = priorities.value[block]
    rest = wanted - jnp.where(block > 0, blocks[block - 1], 0.0)
    place = (jnp.cumsum(inside, 1) <= rest[:, None]).sum(1)
    last = jnp.where(inside > 0, jnp.arange(inside.shape[1])[None], -1).max(1)  # rounding must not lead past the last one
    place = jnp.clip(place, 0, jnp.maximum(last, 0))
    probability = jnp.take_along_axis(inside, place[:, None], 1)[:, 0] / jnp.maximum(total, 1e-30)
    return block * priorities.value.shape[1] + place, probability


def importance(probability: jax.Array, places: jax.Array, beta: jax.Array | float) -> jax.Array:
    """Weights (1 / (N P(i)))^beta, over the largest of the batch: section 3.4; 0 where P(i) is 0."""
    weight = jnp.where(probability > 0, (places * jnp.maximum(probability, 1e-30)) ** -beta, 0.0)
    return weight / jnp.maximum(weight.max(), 1e-30)
