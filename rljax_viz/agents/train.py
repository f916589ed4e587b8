"""What every algorithm gives: a start and an update, both pure, so that a run can stop between any two updates."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


def begin_games(state: Any, env_state: Any, timestep: Any) -> Any:
    """`state` with new games, for learners that remember nothing of the old ones."""
    return state._replace(env_state=env_state, timestep=timestep)


class Train(NamedTuple):
    """`init(key) -> state`, `update(state) -> (state, metrics)`; `num_updates` of them make the training.

    Several seeds are a `vmap`: `vmap(init)(keys)`, `vmap(update)(states)`. `steps_per_update` counts environment steps of
    one seed. A state is a NamedTuple that holds `params`, `env_state` and `timestep`; `begin(state, env_state, timestep)`
    puts new games in their place (`runs` does so at every checkpoint, since a pool of games cannot be saved). `games` names
    the fields that go with the games, and are not saved; `ring` the field, if any, that holds a replay memory
    (it is saved apart).
    """

    init: Callable[[jax.Array], Any]
    update: Callable[[Any], tuple[Any, Any]]
    num_updates: int
    steps_per_update: int
    begin: Callable[[Any, Any, Any], Any] = begin_games
    games: tuple[str, ...] = ("env_state", "timestep")
    ring: str | None = None


def first_params(network: Any, key: jax.Array, obs: jax.Array) -> Any:
    """What `network` begins with; of several seeds, under `vmap`, one after the other.

    A batched QR (orthogonal initialisation) waits on a CPU for threads that may wait for it: `networks.baselines`.
    """
    return jax.custom_batching.sequential_vmap(lambda key: network.init(key, obs))(key)


def train(algorithm: Train, key: jax.Array) -> tuple[Any, Any]:
    """The whole training as one function of a key: `(state, metrics[num_updates])`; `vmap` it over keys for seeds."""
    return jax.lax.scan(lambda state, _: algorithm.update(state), algorithm.init(key), length=algorithm.num_updates)
