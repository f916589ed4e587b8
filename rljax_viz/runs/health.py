"""Is an agent's network learning? Every check of `measure.health`, over the checkpoints of a run."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..explain import g1_grad_cam, scores
from ..measure import (
    Finding,
    cam_focus,
    dead_units,
    faint_layers,
    frames_used,
    guided_focus,
    memory_used,
    merged_streams,
    reached,
    stacking,
)
from ..networks import MIXED
from ..transforms import relu_count
from .agent import Agent, load_agent
from .checkpoints import Checkpoints
from .past import remembered


def _greedy_advantage(out: Any) -> jax.Array:
    """The advantage of the best action."""
    return out.advantage[(out.advantage if out.q is None else out.q).argmax()]


#: stream -> the one number of it whose maps are looked at
STREAMS: dict[str, Callable] = {
    "value": scores.value, "advantage": _greedy_advantage, "q": scores.greedy_q, "logits": scores.greedy_logit,
}  # fmt: skip


class Checkup(NamedTuple):
    """What was found at one checkpoint; `update` is None for an agent that has only one."""

    update: int | None
    findings: list[Finding]

    @property
    def faults(self) -> list[Finding]:
        return [one for one in self.findings if one.verdict == "fault"]


def watched(agent: Agent, steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`steps` steps of one game after another, as the agent sees them while it acts at random: obs[T H W C], begins[T]."""
    env = agent.make_env(1)

    def one(carry: Any, key: jax.Array) -> tuple[Any, Any]:
        state, timestep, begins = carry
        action = jax.random.randint(key, (1,), 0, env.num_actions)
        state, moved = env.step(state, action)
        return (state, moved, moved.info.episode_end | ~moved.info.valid), (timestep.obs[0], begins[0])

    key_reset, key = jax.random.split(jax.random.key(seed))
    begin = (*jax.jit(env.reset)(key_reset), jnp.ones(1, bool))
    rows = jax.jit(lambda carry: jax.lax.scan(one, carry, jax.random.split(key, steps))[1])(begin)
    obs, begins = map(np.asarray, rows)
    return obs, begins


def examine(agent: Agent, obs: np.ndarray, begins: np.ndarray) -> list[Finding]:
    """Every check of one agent on obs[T H W C], steps in a row; begins[T] says where games begin.

    An agent that remembers sees all of them in order, its memory emptied where a game begins, and is checked with what it
    remembered before each step.
    """
    channels = agent.obs_shape[-1] // agent.preset.stack
    out = jax.eval_shape(agent.f, agent.params, jnp.zeros(agent.obs_shape, jnp.uint8))
    score = scores.value if out.value is not None else scores.greedy_q
    memory, _ = remembered(agent, obs, begins)
    at = np.linspace(0, len(obs) - 1, min(len(obs), 64)).astype(int)

    def shown(rows: Any) -> tuple:
        return jax.tree.map(lambda x: x[rows], (obs, memory) if agent.remembers else (obs,))

    some, *rest = shown(at)
    found = stacking(obs, channels, begins)
    if agent.network not in MIXED:
        found += merged_streams(agent.f, agent.params, some, *rest)
    found += reached(agent.f, agent.params, *shown(at[:: max(1, len(at) // 16)]))
    found += dead_units(agent.f, agent.params, some, *rest) + faint_layers(agent.f, agent.params, some, *rest)
    if agent.remembers:
        found += memory_used(agent.f, agent.params, some, *rest)
    found += frames_used(agent.f, score, agent.params, some, channels, *rest)
    return found + _focus(agent, [name for name in STREAMS if getattr(out, name) is not None], channels, *shown(slice(0, 64)))


def _focus(agent: Agent, streams: list[str], channels: int, obs: np.ndarray, *rest: Any) -> list[Finding]:
    """Of each stream: guided gradients on what moves, and G1-Grad-CAM at the first convolution, as in the paper."""
    found, shapes = [], agent.layers
    places = [name for name, layer in shapes.items() if len(layer.shape) == 3]
    layer = agent.first_layer if agent.first_layer in places else next(iter(places), None)
    first = jax.tree.map(lambda x: x[0], rest)
    has_relu = relu_count(agent.f)(agent.params, jnp.asarray(obs[0], jnp.float32), *first) > 0
    for stream in streams:
        found += guided_focus(agent.f, STREAMS[stream], agent.params, obs, channels, *rest, stream=stream)
        if layer is not None and has_relu:
            explain, name = _cam(agent.f, stream, layer), f"G1-Grad-CAM of {stream}, {layer}"
            found += cam_focus(explain, agent.params, obs, channels, *rest, name=name)
    return found


@functools.lru_cache(maxsize=16)  # one function, so one program, for all checkpoints
def _cam(f: Callable, stream: str, layer: str) -> Callable:
    return g1_grad_cam(f, STREAMS[stream], layer)


def check_health(
    source: str | Path,
    *,
    frames: int = 256,
    seed: int = 0,
    seed_index: int | None = None,
    watch: Callable[[str, int, int], None] = lambda what, done, all: None,
) -> list[Checkup]:
    """The checkups of every kept checkpoint of a run, oldest first (of an agent that is no run: one), on the same frames.

    Written to `health.json` in the run's directory. Raises ValueError for fewer than one frame.
    """
    if frames < 1:
        raise ValueError(f"frames is 1 or more, got {frames}")
    run = Path(source)
    updates: list[int | None] = [None]
    if (run / "config.json").exists():
        checkpoints = Checkpoints(run, read_only=True)
        updates = list(checkpoints.updates()) or [None]
        checkpoints.close()
    found, shown, f = [], None, None
    for done, update in enumerate(updates):
        watch("checkpoints", done, len(updates))
        agent = load_agent(source, update=update, seed_index=seed_index)
        agent = agent._replace(f=f) if f is not None else agent
        f = agent.f  # the same network at every checkpoint: compiled once
        shown = shown or watched(agent, frames, seed)
        found.append(Checkup(update, examine(agent, *shown)))
    watch("checkpoints", len(updates), len(updates))
    if run.is_dir():
        told = [{"update": one.update, "findings": [f._asdict() for f in one.findings]} for one in found]
        (run / "health.json").write_text(json.dumps(told, indent=1) + "\n")
    return found
