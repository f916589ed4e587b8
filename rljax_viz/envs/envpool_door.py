"""The door to envpool, Atari and Procgen: pools of games in C++ threads, stepped by host callbacks out of any program.

Why callbacks and not `pool.xla()`: envpool compiles the address of one pool into the program, so every new pool (one a
checkpoint) would cost a compilation of the whole update, and it aborts on some GPUs. The callback costs some 0.06 ms
a step (benchmarks/RESULTS.md), works on every backend, and lets `reset(key)` be what it says: new games, seeded
from the key, as many as are asked for under `vmap`.
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
from .presets import Preset

_PROCGEN_ACTIONS = (
    "left-down", "left", "left-up", "down", "noop", "up", "right-down", "right", "right-up",
    "d", "a", "w", "s", "q", "e",
)  # fmt: skip


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

    def __init__(self, make: Callable[[list[int]], Any], columns: dict[str, Callable], num_envs: int):
        self._make, self._columns, self._num_envs = make, columns, num_envs
        self._pool: Any = None
        self._ticket = np.zeros(2, np.int32)

    def reset(self, key_data: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        self._pool = self._make(game_seeds(np.asarray(key_data), self._num_envs))
        self._ticket = np.array([self._ticket[0] + 1, 0], np.int32)
        obs, info = self._pool.reset()
        none = np.zeros(len(obs), bool)
        return self._ticket, self._read(obs, np.zeros(len(obs), np.float32), none, none, info)

    def step(self, ticket: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        ticket, action = np.asarray(ticket), np.asarray(action)
        if not np.array_equal(ticket, self._ticket):
            raise RuntimeError(
                f"this state is not the newest of its environment (pool and step {ticket.tolist()}, now "
                f"{self._ticket.tolist()}): a pool of games cannot go back. Use each state once, and make one "
                "environment a purpose: envs.make(...) again for evaluation"
            )
        if len(action) != self._pool.config["num_envs"]:
            raise RuntimeError(f"{len(action)} actions for a pool of {self._pool.config['num_envs']} games")
        self._ticket = self._ticket + np.array([0, 1], np.int32)
        return self._ticket, self._read(*self._pool.step(action.astype(np.int32)))

    def _read(self, obs, reward, terminated, truncated, info) -> dict[str, np.ndarray]:
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

    options: dict[str, Any] = _procgen_options(preset) if procgen else _atari_options(preset)
    if recording:
        options["render_mode"] = "rgb_array"
    # More threads than games or cores only wait; the games do not depend on their number.
    threads = min(os.cpu_count() or 1, 32)

    def make(seeds: list[int]) -> Any:
        return envpool.make(
            preset.env_id, env_type="gymnasium", num_envs=len(seeds), num_threads=min(threads, len(seeds)),
            env_seed=seeds, **options,
        )  # fmt: skip

    trial = make([0] * num_envs)
    columns = _columns(procgen, recording)
    obs, info = trial.reset()
    none = np.zeros(num_envs, bool)
    shapes = {
        name: jax.ShapeDtypeStruct(value.shape, value.dtype)
        for name, read in columns.items()
        for value in [np.asarray(read(trial, obs, np.zeros(num_envs, np.float32), none, none, info))]
    }
    pool_actions = int(trial.action_space.n)
    num_actions = preset.num_actions or pool_actions
    if not 0 < num_actions <= pool_actions:
        raise ValueError(f"{preset.env_id} has {pool_actions} actions, preset asks for {num_actions}")
    names = _PROCGEN_ACTIONS[:num_actions] if procgen else atari_action_names(preset.env_id[:-3], num_actions)
    pools = Pools(make, columns, num_envs)
    reset, step = _as_transforms(preset, pools, shapes, num_envs)
    return Env(reset, step, num_envs, num_actions, shapes["obs"].shape[1:], names, preset)


def is_procgen(env_id: str) -> bool:
    return env_id.endswith("-v0")


def _atari_options(preset: Preset) -> dict[str, Any]:
    return {
        "frame_skip": preset.frame_skip, "gray_scale": preset.grey, "img_height": preset.height,
        "img_width": preset.width, "stack_num": preset.stack, "repeat_action_probability": preset.sticky,
        "noop_max": preset.noop_max, "use_fire_reset": preset.fire_reset, "full_action_space": preset.full_actions,
        "max_episode_steps": preset.max_episode_steps, "episodic_life": preset.life_loss,
    }  # fmt: skip


def _procgen_options(preset: Preset) -> dict[str, Any]:
    return {
        "num_levels": preset.num_levels,
        "start_level": preset.start_level,
        "paint_vel_info": preset.paint_vel_info,
    }


def _columns(procgen: bool, recording: bool) -> dict[str, Callable]:
    """What is read of the pool after each step; name -> function of (pool, obs, reward, terminated, truncated, info)."""
    columns: dict[str, Callable] = {
        "obs": lambda p, obs, *_: np.ascontiguousarray(np.moveaxis(obs, 1, -1)),
        "terminated": lambda p, obs, reward, terminated, truncated, info: terminated,
        "truncated": lambda p, obs, reward, terminated, truncated, info: truncated & ~terminated,
    }
    if procgen:
        columns["raw"] = lambda p, obs, reward, *_: reward.astype(np.float32)
        columns["end"] = lambda p, obs, reward, terminated, truncated, info: terminated | truncated
    else:  # the unclipped reward, and the end of the game rather than of a life
        columns["raw"] = lambda *a: a[-1]["reward"].astype(np.float32)
        columns["end"] = lambda p, obs, reward, terminated, truncated, info: (info["terminated"] > 0) | truncated
    if recording:
        columns["extra:rgb"] = lambda p, obs, *_: p.render(env_ids=np.arange(len(obs), dtype=np.int32))
        kept = ("level_seed", "prev_level_complete") if procgen else ("ram", "lives")
        for name in kept:
            columns[f"extra:{name}"] = lambda *a, name=name: np.asarray(a[-1][name])
    return columns


def _as_transforms(preset: Preset, pools: Pools, shapes: dict[str, jax.ShapeDtypeStruct], num_envs: int):
    """`reset` and `step` over the host's pool, with a batching rule that flattens agents x games onto one pool."""
    ticket_shape = jax.ShapeDtypeStruct((2,), np.int32)

    def sized(agents: int) -> tuple[jax.ShapeDtypeStruct, dict[str, jax.ShapeDtypeStruct]]:
        return ticket_shape, {
            k: jax.ShapeDtypeStruct((agents * num_envs, *s.shape[1:]), s.dtype) for k, s in shapes.items()
        }

    def shared(agents: int, ticket: jax.Array, columns: dict[str, jax.Array]):
        """One pool's answer, dealt out to the agents; every agent holds the same ticket."""
        deal = {k: v.reshape(agents, num_envs, *v.shape[1:]) for k, v in columns.items()}
        return (jnp.broadcast_to(ticket, (agents, 2)), deal), (True, jax.tree.map(lambda _: True, deal))

    @custom_vmap
    def host_reset(key_data):
        return io_callback(pools.reset, sized(1), key_data)

    @host_reset.def_vmap
    def _(agents, in_batched, key_data):
        if not in_batched[0]:  # agents with one key would play the same games: only shapes are asked for
            key_data = jnp.broadcast_to(key_data, (agents, *key_data.shape))
        return shared(agents, *io_callback(pools.reset, sized(agents), key_data))

    @custom_vmap
    def host_step(ticket, action):
        return io_callback(pools.step, sized(1), ticket, action)

    @host_step.def_vmap
    def _(agents, in_batched, ticket, action):
        ticket = ticket[0] if in_batched[0] else ticket
        action = action if in_batched[1] else jnp.broadcast_to(action, (agents, *action.shape))
        return shared(agents, *io_callback(pools.step, sized(agents), ticket, action.reshape(-1)))

    return functools.partial(_reset, host_reset, num_envs), functools.partial(_step, host_step, num_envs, preset)


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
