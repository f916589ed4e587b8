"""What every algorithm gives: a start and an update, both pure, so that a run can stop between any two updates."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Train(NamedTuple):
    """`init(key) -> state`, `update(state) -> (state, metrics)`; `num_updates` of them make the training.

    Several seeds are a `vmap`: `vmap(init)(keys)`, `vmap(update)(states)`. A state holds `params`, `env_state` and
    `timestep`; whoever begins new games replaces the last two (`runs` does at every checkpoint).
    """

    init: Callable[[jax.Array], Any]
    update: Callable[[Any], tuple[Any, Any]]
    num_updates: int


def train(algorithm: Train, key: jax.Array) -> tuple[Any, Any]:
    """The whole training as one function of a key: `(state, metrics[num_updates])`; `vmap` it over keys for seeds."""
    return jax.lax.scan(lambda state, _: algorithm.update(state), algorithm.init(key), length=algorithm.num_updates)
