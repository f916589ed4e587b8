"""An agent at play: its score over many games, or every step of a few of them in the store."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..agents import act, emptied
from ..envs import Env
from ..store import create_episodes
from .agent import MEMORY, Agent, who

Watch = Callable[[int, int], None]


class Evaluation(NamedTuple):
    """Unclipped returns and lengths (agent's steps) of whole games, each of every parallel game's first ones."""

    returns: np.ndarray
    lengths: np.ndarray


EPSILON = 0.05  # part of random actions of an agent that has q-values and no policy: Mnih et al. 2015, methods


def _acting(agent: Agent, env: Env, greedy: bool, epsilon: float, chunk: int, see: Callable) -> Callable:
    """`(params, env_state, timestep, key) -> carry, see(timestep, out, action, moved)[chunk ...]`, compiled.

    Actions are drawn from the policy; where there are q-values instead, the best one, or with `epsilon` any. An agent's
    memory (None of one without) is emptied where an episode began; `see` is given what it held before the step.
    """
    policy = jax.vmap(agent.f, (None, 0)) if not agent.remembers else jax.vmap(agent.f, (None, 0, 0))

    def one(params, carry, key):
        env_state, timestep, memory, fresh = carry
        memory = emptied(memory, fresh)
        out = policy(params, timestep.obs, *([memory] if agent.remembers else []))
        if out.logits is None:
            action = act(key, out.q, 0.0 if greedy else epsilon)
        else:
            action = out.logits.argmax(-1) if greedy else jax.random.categorical(key, out.logits)
        env_state, moved = env.step(env_state, action)
        fresh = moved.info.episode_end | ~moved.info.valid
        return (env_state, moved, getattr(out, "carry", None), fresh), see(timestep, out, action, moved, memory)

    def play(params, carry, key):
        return jax.lax.scan(lambda c, k: one(params, c, k), carry, jax.random.split(key, chunk))

    return jax.jit(play)


def _begin(agent: Agent, env: Env, key: jax.Array) -> tuple:
    """New games, and empty memories: what the first step of `_acting` takes."""
    memory = jax.tree.map(lambda x: jnp.zeros((env.num_envs, *x.shape), x.dtype), agent.memory)
    return (*jax.jit(env.reset)(key), memory, jnp.ones(env.num_envs, bool))


def evaluate(
    agent: Agent,
    episodes: int = 30,
    *,
    greedy: bool = False,
    epsilon: float = EPSILON,
    seed: int = 0,
    env: Env | None = None,
    watch: Watch = lambda done, all: None,
) -> Evaluation:
    """The score over `episodes` whole games, played side by side; each place plays its share to the end, so that short
    games are not favoured. Actions are drawn from the policy (of q-values: the best, with probability `epsilon` any), or are
    the best ones with `greedy`. Raises ValueError for fewer than one game, or an `epsilon` outside 0..1.
    """
    _check(episodes=episodes, epsilon=epsilon)
    env = env or agent.make_env(min(episodes, 32))
    quota = math.ceil(episodes / env.num_envs)
    key, key_reset = jax.random.split(jax.random.key(seed))
    play = _acting(agent, env, greedy, epsilon, 128, lambda t, out, action, moved, memory: moved.info[2:5])
    carry = _begin(agent, env, key_reset)
    returns: list[list[float]] = [[] for _ in range(env.num_envs)]
    lengths: list[list[int]] = [[] for _ in range(env.num_envs)]
    while (done := sum(min(len(r), quota) for r in returns)) < quota * env.num_envs:
        watch(min(done, episodes), episodes)
        key, key_play = jax.random.split(key)
        carry, (end, total, length) = play(agent.params, carry, key_play)
        for t, b in np.argwhere(np.asarray(end)):
            returns[b].append(float(total[t, b]))
            lengths[b].append(int(length[t, b]))
    watch(episodes, episodes)
    order = [(i, b) for i in range(quota) for b in range(env.num_envs)][:episodes]
    return Evaluation(np.array([returns[b][i] for i, b in order]), np.array([lengths[b][i] for i, b in order]))


def record(
    agent: Agent,
    run: Path,
    episodes: int = 1,
    *,
    greedy: bool = False,
    epsilon: float = EPSILON,
    seed: int = 0,
    max_steps: int | None = None,
    overwrite: bool = False,
    env: Env | None = None,
    watch: Watch = lambda done, all: None,
) -> Path:
    """Plays `episodes` whole games (or `max_steps` steps) and writes every step to `run/episodes.zarr`; gives its path.

    A row is what the agent saw, did and got: the single newest frame, value, logits, action, unclipped reward; what it
    remembered before (`memory0`, ..., of an agent that does); of Atari also the colour frame, the 128 bytes of RAM and the
    lives, all of the moment that the agent saw.
    With `overwrite` the old recording goes, and with it the maps that belonged to it.
    Raises FileExistsError where recorded episodes are and `overwrite` is False; ValueError for fewer than one game or step,
    or an `epsilon` outside 0..1.
    """
    _check(episodes=episodes, epsilon=epsilon, max_steps=max_steps)
    env = env or agent.make_env(1, recording=True)
    run.mkdir(parents=True, exist_ok=True)
    if not (run / "config.json").exists():
        (run / "agent.json").write_text(json.dumps(who(agent)) + "\n")
    attributes = {
        "agent": agent.name, "checkpoint": agent.checkpoint, "preset": env.preset.to_json(), "greedy": greedy,
        "epsilon": epsilon, "seed": seed, "action_names": list(env.action_names),
    }  # fmt: skip
    blocks = _blocks(agent, env, greedy, epsilon, seed)
    first = next(blocks)
    columns = {name: (value.shape[1:], value.dtype.name) for name, value in first.items() if name not in _OWN}
    writer = create_episodes(
        run / "episodes.zarr", frame_shape=first["frames"].shape[1:], stack=env.preset.stack,
        padding=env.preset.padding, attributes=attributes, columns=columns, overwrite=overwrite,
    )  # fmt: skip
    shutil.rmtree(run / "maps", ignore_errors=True)
    with writer:
        rows, block = 0, first
        while True:
            last = np.flatnonzero(block["terminated"] | block["truncated"])
            ends = int(block["episode"][0]) + len(last) >= episodes
            keep = int(last[episodes - 1 - int(block["episode"][0])]) + 1 if ends else len(block["action"])
            if max_steps is not None and rows + keep >= max_steps:
                keep, ends = max_steps - rows, True
            writer.append(**{name: value[:keep] for name, value in block.items()})
            rows += keep
            watch(rows, episodes)
            if ends:
                return run / "episodes.zarr"
            block = next(blocks)


def _check(episodes: int, epsilon: float, max_steps: int | None = None) -> None:
    for name, value in (("episodes", episodes), ("max_steps", max_steps)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is 1 or more, got {value}")
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon is a part of the actions, 0 to 1, got {epsilon}")


_OWN = ("frames", "stack_start")


def _blocks(agent: Agent, env: Env, greedy: bool, epsilon: float, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Endless blocks of rows of one game after another; steps on which the game only reset are left out."""
    channels = env.obs_shape[-1] // env.preset.stack

    def see(timestep, out, action, moved, memory) -> dict[str, Any]:
        heads = {"value": out.value, "logits": out.logits, "q": out.q}
        row = {
            "frames": timestep.obs[..., -channels:], "action": action.astype(jnp.int32), "reward": moved.reward,
            "terminated": moved.terminated, "truncated": moved.truncated, "valid": moved.info.valid,
            **{name: head for name, head in heads.items() if head is not None}, **timestep.info.extra,
            **{f"{MEMORY}{i}": leaf for i, leaf in enumerate(jax.tree.leaves(memory))},
        }  # fmt: skip
        return {name: value[0] for name, value in row.items()}

    key, key_reset = jax.random.split(jax.random.key(seed))
    play = _acting(agent, env, greedy, epsilon, 32, see)
    carry = _begin(agent, env, key_reset)
    episode, starting = 0, True
    while True:
        key, key_play = jax.random.split(key)
        carry, rows = play(agent.params, carry, key_play)
        rows = {name: np.asarray(value) for name, value in rows.items()}
        valid = rows.pop("valid")
        rows = {name: value[valid] for name, value in rows.items()}
        ended = rows["terminated"] | rows["truncated"]
        if not len(ended):
            continue
        starts = np.concatenate([[starting], ended[:-1]])
        number = episode + np.cumsum(starts) - int(starting)
        yield {**rows, "stack_start": starts, "episode": number.astype(np.int32)}
        starting, episode = bool(ended[-1]), int(number[-1]) + int(ended[-1])
