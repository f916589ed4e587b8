"""The door to envpool, Atari and Procgen: pools of games in C++ threads, stepped out of any compiled program.

On CPU steps are envpool's own XLA operations, where a probe finds that they work (`envpool_steps.py`); on other backends,
and where colour frames are recorded, they are host callbacks. Which one is taken changes nothing but the speed
(benchmarks/RESULTS.md). `reset(key)` is what it says: new games, seeded from the key, as many as are asked for under `vmap`.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jax.experimental import io_callback

from .atari_actions import atari_action_names
from .env import Account, Env, Info, Timestep, check_action, enter, open_account
from .envpool_options import PROCGEN_ACTIONS, atari_options, columns_of, is_procgen, procgen_options
from .envpool_steps import PoolSteps, why_not
from .presets import Preset


class PoolState(NamedTuple):
    """`ticket` names the pool and counts its steps, so that an old state is refused; the rest is bookkeeping."""

    ticket: jax.Array
    resetting: jax.Array
    account: Account


def game_seeds(key_data: np.ndarray, num_envs: int) -> list[int]:
    """A seed for each game of each agent, hashed from the agent's key: `key_data[S 2]` -> S x num_envs seeds.

    envpool's own consecutive seeds share games between agents.
    """
    rows = np.asarray(key_data, np.uint32).reshape(-1, key_data.shape[-1])
    words = [np.random.SeedSequence([*map(int, row)]).generate_state(num_envs) for row in rows]
    return [int(word & 0x7FFFFFFF) for row in words for word in row]


class Pools:
    """Host side: holds the pool that is played now. Each new `reset` puts a new pool in its place."""

    def __init__(
        self, make: Callable, columns: dict[str, Callable], num_envs: int, num_actions: int, by_xla: PoolSteps | None
    ):
        self._make, self._columns, self._num_envs, self._num_actions = make, columns, num_envs, num_actions
        self.by_xla = by_xla
        self._pool: Any = None
        self._games = 0
        self._ticket = np.zeros(2, np.int32)

    def reset(self, key_data: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        seeds = game_seeds(np.asarray(key_data), self._num_envs)
        self._pool, self._games = self._make(seeds), len(seeds)
        self._ticket = np.array([self._ticket[0] + 1, 0], np.int32)
        obs, info = self._pool.reset()
        if self.by_xla:
            self.by_xla.play(self._pool, int(self._ticket[0]), self._games, self._num_actions)
        none = np.zeros(len(obs), bool)
        return self._ticket, self.read(obs, np.zeros(len(obs), np.float32), none, none, info)

    def step(self, ticket: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        ticket, action = np.asarray(ticket), np.asarray(action)
        if not np.array_equal(ticket, self._ticket):
            raise RuntimeError(
                f"this state is not the newest of its environment (pool and step {ticket.tolist()}, now "
                f"{self._ticket.tolist()}): a pool of games cannot go back. Use each state once, and make one "
                "environment a purpose: envs.make(...) again for evaluation"
            )
        if len(action) != self._games:
            raise RuntimeError(
                f"{len(action)} actions for a pool of {self._games} games: as many agents must step "
                "as were reset, each with a key of its own: vmap(env.reset)(keys[S]), vmap(env.step)(state, action[S B])"
            )
        if action.min() < 0 or action.max() >= self._num_actions:  # the game itself would read past its table
            raise RuntimeError(
                f"actions from {action.min()} to {action.max()}, expected 0 to {self._num_actions - 1}: see env.action_names"
            )
        self._ticket = self._ticket + np.array([0, 1], np.int32)
        return self._ticket, self.read(*self._pool.step(action.astype(np.int32)))

    def read(self, obs, reward, terminated, truncated, info) -> dict[str, Any]:
        """The columns of one answer of the pool."""
        return {name: read(self._pool, obs, reward, terminated, truncated, info) for name, read in self._columns.items()}


def make_envpool(preset: Preset, num_envs: int, recording: bool = False) -> Env:
    """`num_envs` games of envpool by its own id. With `recording`, `info.extra` has `rgb` and, for Atari, `ram`.

    Raises ImportError with the fix where Procgen lacks Qt; ValueError for options that the game does not have.
    """
    procgen = is_procgen(preset.env_id)
    if procgen:
        from .qt import load_procgen

        load_procgen()
    import envpool

    options: dict[str, Any] = procgen_options(preset) if procgen else atari_options(preset)
    if recording:
        options["render_mode"] = "rgb_array"
    # More threads than games or cores only wait; the games do not depend on their number.
    threads = min(os.cpu_count() or 1, 32)

    def make(seeds: list[int]) -> Any:
        return envpool.make(
            preset.env_id, env_type="gymnasium", num_envs=len(seeds), num_threads=min(threads, len(seeds)),
            env_seed=seeds, **options,
        )  # fmt: skip

    names = None if procgen else functools.partial(atari_action_names, preset.env_id[:-3])
    xla = "" if recording else ("procgen" if procgen else "atari")
    return door_to(preset, make, columns_of(procgen, recording), num_envs, names, xla)


def door_to(
    preset: Preset, make: Callable, columns: dict[str, Callable], num_envs: int, names: Callable | None, xla: str = ""
) -> Env:
    """An Env over pools of games that answer as envpool's do: `make(seeds) -> pool`, `columns` as of `columns_of`.

    `names(number of actions)` names the actions (None: Procgen's); `xla` is the kind of pool that is probed for steps
    without a callback, "" for one that has none.
    """
    trial = make([0])
    obs, info = trial.reset()
    none = np.zeros(1, bool)
    shapes = {
        name: jax.ShapeDtypeStruct((num_envs, *value.shape[1:]), value.dtype)
        for name, read in columns.items()
        for value in [np.asarray(read(trial, obs, np.zeros(1, np.float32), none, none, info))]
    }
    pool_actions = int(trial.action_space.n)
    num_actions = preset.num_actions or pool_actions
    if not 0 < num_actions <= pool_actions:
        raise ValueError(f"{preset.env_id} has {pool_actions} actions, preset asks for {num_actions}")
    called = names(pool_actions) if names else PROCGEN_ACTIONS
    pools = Pools(make, columns, num_envs, num_actions, PoolSteps(trial) if xla and not why_not(xla, make) else None)
    reset, step = _as_transforms(preset, pools, shapes, num_envs)
    return Env(reset, step, num_envs, num_actions, shapes["obs"].shape[1:], called[:num_actions], preset)


def _as_transforms(preset: Preset, pools: Pools, shapes: dict[str, jax.ShapeDtypeStruct], num_envs: int):
    """`reset` and `step` over the host's pool, with a batching rule that flattens agents x games onto one pool."""
    ticket_shape = jax.ShapeDtypeStruct((2,), np.int32)

    def sized(agents: int) -> tuple[jax.ShapeDtypeStruct, dict[str, jax.ShapeDtypeStruct]]:
        return ticket_shape, {k: jax.ShapeDtypeStruct((agents * num_envs, *s.shape[1:]), s.dtype) for k, s in shapes.items()}

    def deal(groups: int, ticket: jax.Array, columns: dict[str, jax.Array]):
        """One pool's answer, dealt out to groups of agents; every one of them holds the same ticket."""
        dealt = {k: v.reshape(groups, v.shape[0] // groups, *v.shape[1:]) for k, v in columns.items()}
        return (jnp.broadcast_to(ticket, (groups, 2)), dealt), (True, jax.tree.map(lambda _: True, dealt))

    # The batching rule of either call is the same call for more agents, so that a vmap may stand inside another.
    def host_reset(agents: int) -> Callable:
        @custom_vmap
        def call(key_data):
            return io_callback(pools.reset, sized(agents), key_data)

        @call.def_vmap
        def _(groups, in_batched, key_data):
            return deal(groups, *host_reset(groups * agents)(key_data.reshape(-1, key_data.shape[-1])))

        return call

    def host_step(agents: int) -> Callable:
        @custom_vmap
        def call(ticket, action):
            if pools.by_xla:
                ticket, answer = pools.by_xla.step(ticket, action)
                return ticket, pools.read(*answer)
            return io_callback(pools.step, sized(agents), ticket, action)

        @call.def_vmap
        def _(groups, in_batched, ticket, action):
            ticket = ticket[0] if in_batched[0] else ticket
            action = action if in_batched[1] else jnp.broadcast_to(action, (groups, *action.shape))
            return deal(groups, *host_step(groups * agents)(ticket, action.reshape(-1)))

        return call

    return (
        functools.partial(_reset, host_reset(1), num_envs),
        functools.partial(_step, host_step(1), num_envs, preset),
    )


def _extra(columns: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name.removeprefix("extra:"): value for name, value in columns.items() if name.startswith("extra:")}


def _reset(host_reset: Callable, num_envs: int, key: jax.Array) -> tuple[PoolState, Timestep]:
    ticket, columns = host_reset(jax.random.key_data(key))
    account, no = open_account(num_envs), jnp.zeros(num_envs, bool)
    info = Info(columns["obs"], ~no, no, account.episode_return, account.episode_length, _extra(columns))
    return PoolState(ticket, no, account), Timestep(columns["obs"], account.episode_return, no, no, info)


def _step(
    host_step: Callable, num_envs: int, preset: Preset, state: PoolState, action: jax.Array
) -> tuple[PoolState, Timestep]:
    ticket, columns = host_step(state.ticket, check_action(action, num_envs))
    valid = ~state.resetting
    terminated, truncated = columns["terminated"] & valid, columns["truncated"] & valid
    end = columns["end"] & valid
    raw = jnp.where(valid, columns["raw"], 0.0)
    account, totals = enter(state.account, raw, valid, end)
    reward = jnp.sign(raw) if preset.clip_reward else raw
    info = Info(columns["obs"], valid, end, totals.episode_return, totals.episode_length, _extra(columns))
    timestep = Timestep(columns["obs"], reward, terminated, truncated, info)
    return PoolState(ticket, terminated | truncated, account), timestep
