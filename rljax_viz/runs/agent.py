"""A trained agent, out of a run or out of the zoo, with everything that it takes to show it its game again."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from .. import zoo
from ..envs import Env, Preset, check_same_view, make
from ..networks import make as make_network
from ..transforms import fast_convs, tags
from . import foreign
from .checkpoints import Checkpoints
from .config import RunConfig
from .train import make_loop

MEMORY = "memory"  # columns of a recording: what an agent remembered before a step, a leaf each


class Agent(NamedTuple):
    """`f(params, obs) -> Output` of one observation, with convolutions in the form that is fastest here.

    `name` says where it came from, `checkpoint` is a hash of its parameters, `card` what is known of it, `dtype` what the
    network computes in.
    """

    f: Callable
    params: Any
    name: str
    network: str
    preset: Preset
    action_names: tuple[str, ...]
    obs_shape: tuple[int, ...]
    checkpoint: str
    card: dict[str, Any]
    dtype: str = "float32"

    @property
    def memory(self) -> Any:
        """The shapes of what the agent remembers from step to step; None if it does not. Then `f(params, obs, memory)`."""
        out = jax.eval_shape(self.f, self.params, jnp.zeros(self.obs_shape, jnp.uint8))
        return getattr(out, "carry", None)

    @property
    def remembers(self) -> bool:
        return self.memory is not None

    @property
    def layers(self) -> dict[str, Any]:
        """The tagged layers from first to last, and their shapes."""
        return tags(self.f)(self.params, jnp.zeros(self.obs_shape, jnp.uint8))

    @property
    def first_layer(self) -> str | None:
        """The layer that methods take where none is named: the first one; of a network that tags every moment of its
        window (`conv1.t0`, `conv1.t1`, ...) the first one at the newest moment. None of a network without tags.
        """
        layers = list(self.layers)
        stem = layers[0].rpartition(".t")[0] if layers else ""
        moments = [name for name in layers if stem and name.rpartition(".t")[0] == stem]
        return moments[-1] if moments else next(iter(layers), None)

    def make_env(
        self, num_envs: int, *, recording: bool = False, preset: Preset | None = None, like: str | None = None
    ) -> Env:
        """Whole, unclipped games in the view that the agent was trained on; with `like`, another game in the same view
        and with the same actions: `BreakoutInfinite-v5`.

        Raises ValueError where `preset` or `like` would show it anything else, with the fix.
        """
        preset = preset or self.preset.for_evaluation()
        check_same_view(preset, self.preset, self.name)
        preset = dataclasses.replace(preset, env_id=like or preset.env_id)
        env = make(preset.env_id, num_envs, preset, recording=recording)
        if like is not None and env.action_names != self.action_names:
            raise ValueError(
                f"{preset.env_id} has the actions {list(env.action_names)}, {self.name} knows {list(self.action_names)}: "
                "choose a game that is played alike"
            )
        return env


def parameter_hash(params: Any) -> str:
    """Sixteen hexadecimal digits that change with any parameter."""
    digest = hashlib.sha256()
    if isinstance(params, dict):
        leaves = flax.traverse_util.flatten_dict(params, sep="/").items()
    else:  # a stranger's tree
        leaves = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]
    for path, leaf in sorted(leaves, key=lambda pair: pair[0]):
        digest.update(path.encode() + np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def load_agent(
    source: str | Path, *, update: int | None = None, seed_index: int | None = None, dtype: str | None = None
) -> Agent:
    """The agent of a run's directory (newest checkpoint, or that of `update`; of several seeds the `seed_index`-th, by
    default the first), of a directory that `play` made (by default the one that played), or of the zoo by name:
    `load_agent("zoo:Breakout-v5")`. `dtype`, "float32" or "bfloat16", is what its network computes in, whatever it was
    trained in.
    Agents that were not made here (`runs/foreign.py`): `load_agent("my_agents:make_pong")` calls a function that returns
    `(f, params, preset)`; `load_agent("runs/.../x.cleanrl_model")` reads a checkpoint of CleanRL's JAX agents.

    Raises FileNotFoundError or ValueError with what there is.
    """
    text, run = str(source), Path(source)
    if (run / "agent.json").exists():
        played = json.loads((run / "agent.json").read_text())
        update = played.get("update") if update is None else update
        seed_index = played.get("seed_index") if seed_index is None else seed_index
        return load_agent(played["agent"], update=update, seed_index=seed_index, dtype=dtype)
    shipped = text.removeprefix("zoo:") if text.startswith("zoo:") or (not run.exists() and text in zoo.names()) else None
    foreigner = text.endswith(foreign.SUFFIX) or (foreign.is_entry(text) and not run.exists())
    if shipped is None and not foreigner:
        return _from_run(run, update, seed_index or 0, dtype)
    if update is not None or seed_index:
        raise ValueError(f"{text} is one agent: leave out which update or seed of a run is meant")
    if shipped is not None:
        return _from_zoo(shipped, dtype)
    return _from_elsewhere(foreign.load_cleanrl(run) if text.endswith(foreign.SUFFIX) else foreign.load_entry(text), dtype)


def who(agent: Agent) -> dict[str, Any]:
    """What `load_agent` needs to find `agent` again, from wherever it is called."""
    path = Path(agent.name)
    name = str(path.resolve()) if path.exists() else agent.name
    return {"agent": name, **{what: agent.card[what] for what in ("update", "seed_index") if what in agent.card}}


def _from_elsewhere(fields: dict[str, Any], dtype: str | None) -> Agent:
    if dtype is not None:
        raise ValueError(f"{fields['name']} computes in the dtype that it was written in; leave --dtype out")
    return Agent(checkpoint=parameter_hash(fields["params"]), **fields)


def _from_zoo(name: str, dtype: str | None) -> Agent:
    card = zoo.card(name)
    options = _with_dtype(card["network_options"], dtype)
    network = make_network(card["network"], len(card["action_names"]), **options)
    params = zoo.unpacked(flax.traverse_util.unflatten_dict(zoo.read_weights(name), sep="/"))
    params = jax.tree.map(jnp.asarray, params)
    return Agent(
        fast_convs(network.apply), params, f"zoo:{name}", card["network"], Preset.from_json(card["preset"]),
        tuple(card["action_names"]), tuple(card["obs_shape"]), parameter_hash(params), card,
        str(options.get("dtype", "float32")),
    )  # fmt: skip


def _from_run(run: Path, update: int | None, seed_index: int, dtype: str | None) -> Agent:
    config = RunConfig.load(run)
    if not 0 <= seed_index < config.seeds:
        raise ValueError(f"{run} holds {config.seeds} seeds, there is no number {seed_index}; count from 0")
    loop = make_loop(config)
    checkpoints = Checkpoints(run, read_only=True, leave_out=loop.apart)
    if not (updates := checkpoints.updates()):
        raise FileNotFoundError(f"{run} has no checkpoint yet; one is written every {config.checkpoint_every} updates")
    state = checkpoints.restore(jax.eval_shape(loop.init), update)
    checkpoints.close()
    params = state.params if config.seeds == 1 else jax.tree.map(lambda x: x[seed_index], state.params)
    env = make(config.preset.env_id, 1, config.preset)
    options = _with_dtype(config.network_options, dtype)
    network = make_network(config.network, env.num_actions, **options)
    at = update or updates[-1]
    steps = at * loop.steps_per_update
    card = {
        "algo": config.algo, "seed": config.seed + seed_index, "seed_index": seed_index, "update": at, "steps": steps,
        "config": config.to_json(),
    }  # fmt: skip
    return Agent(
        fast_convs(network.apply), params, str(run), config.network, config.preset, env.action_names, env.obs_shape,
        parameter_hash(params), card, str(options.get("dtype", "float32")),
    )  # fmt: skip


def _with_dtype(options: dict[str, Any], dtype: str | None) -> dict[str, Any]:
    if dtype not in (None, "float32", "bfloat16"):
        raise ValueError(f"a network computes in float32 or bfloat16, not {dtype!r}")
    return options if dtype is None else {**options, "dtype": dtype}
