"""What an agent saw and remembered before each step of a recording: windows of past frames, and memories."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..explain import METHODS, Method
from ..store import Episodes, Windows
from .agent import MEMORY, Agent

BUILT_IN = "attention_map"  # the one method that needs no score, and a network that attends


def check_past(agent: Agent, method: str, past: int) -> None:
    """Raises ValueError, with the fix, where `method` has no map of the `past` frames before the newest of this agent."""
    stack = agent.preset.stack
    if past < 0:
        raise ValueError(f"past is how many frames before the newest get a map, 0 or more; got {past}")
    if past and method == BUILT_IN:
        raise ValueError(f"{method} shows where the network attends at one step: read the rows before, and leave past out")
    if past and agent.remembers and stack > 1:
        raise ValueError(
            f"{agent.name} remembers, and sees {stack} frames at once: past frames stand in several of its steps. Train one "
            "that sees one (a preset with stack=1), or leave past out"
        )
    if agent.remembers:
        return
    if past >= stack:
        fix = f"past is at most {stack - 1}" if stack > 1 else "leave past out, or train one that does: --algo a3c-lstm"
        raise ValueError(f"{agent.name} remembers nothing and sees {stack} frames at a time, none {past} steps ago: {fix}")
    if past and not of_each_frame(METHODS[method]):
        have = ", ".join(name for name, entry in METHODS.items() if of_each_frame(entry))
        raise ValueError(f"{method} gives one picture of all {stack} frames; those of each frame are made by {have}")


def of_each_frame(method: Method) -> bool:
    """Whether its map tells the frames of a stack apart."""
    return method.stacked and method.resolution == "obs"


def seen(agent: Agent, episodes: Episodes, past: int = 0) -> tuple[Any, tuple]:
    """(frames, rest) of every recorded step, array-likes that are read when they are asked for: what `make_explain` takes.

    Without `past`: observations[N H W C], and rest = (action[N],), and of an agent that remembers also what it remembered
    before each step. Recorded actions are zeros where none were recorded (scores that would read them are refused before).
    With `past`, of an agent that remembers: windows [N past+1 H W C], and rest = (action, memory before the first frame
    of the window, how many frames at its front are not there, because the episode begins after them).
    Raises ValueError where the recording does not say what the agent remembered.
    """
    actions = episodes.action if "action" in episodes else np.zeros(len(episodes), np.int32)
    if not agent.remembers:
        return episodes.observations, (actions,)
    leaves, tree = jax.tree.flatten(agent.memory)
    names = [f"{MEMORY}{i}" for i in range(len(leaves))]
    if missing := [name for name in names if name not in episodes]:
        raise ValueError(
            f"{agent.name} remembers, and {episodes.path} does not say what ({', '.join(missing)}): record its own games, "
            "rljax-viz play RUN --record"
        )
    memory = jax.tree.unflatten(tree, [getattr(episodes, name) for name in names])
    starts = np.array([game.start for game in episodes.episodes]) if past else np.zeros(1, np.int64)
    return windowed(episodes.observations, actions, memory, starts, past)


def windowed(obs: Any, actions: Any, memory: Any, starts: np.ndarray, past: int) -> tuple[Any, tuple]:
    """(frames, rest) as of `seen`, of obs[N H W C], actions[N] and a tree memory[N ...]; episodes begin at rows `starts`."""
    if not past:
        return obs, (actions, memory)
    windows = Windows(starts, past)
    return windows.of(obs), (actions, jax.tree.map(windows.before, memory), windows.missing(len(obs)))


def remembered(agent: Agent, obs: np.ndarray, begins: np.ndarray, memory: Any = None) -> tuple[Any, Any]:
    """What the agent remembers along obs[T H W C], steps in a row; begins[T] says where games begin, and memory is emptied.

    (memory before each step [T ...], memory after the last); `memory` is that before the first, None is an empty one.
    Of an agent without a memory (None, None).
    """
    shapes = agent.memory
    if shapes is None:
        return None, None
    start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes) if memory is None else memory

    each, last = _along(agent.f, agent.params, start, jnp.asarray(obs), jnp.asarray(begins))
    return jax.tree.map(np.asarray, each), last


@functools.partial(jax.jit, static_argnums=0)
def _along(f: Any, params: Any, start: Any, obs: jax.Array, begins: jax.Array) -> tuple[Any, Any]:
    def step(carry: Any, at: tuple) -> tuple[Any, Any]:
        one, fresh = at
        before = jax.tree.map(lambda x: jnp.where(fresh, jnp.zeros_like(x), x), carry)
        return f(params, one, before).carry, before

    last, each = jax.lax.scan(step, start, (obs, begins))
    return each, last
