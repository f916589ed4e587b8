"""Agents that were not made here: any pure JAX function by `module:function`, and CleanRL's JAX checkpoints."""

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np

from ..envs import Preset, default_preset, make, make_preset
from ..networks import Output
from ..networks import make as make_network
from ..transforms import fast_convs

_SHAPE = "f(params, obs) takes ONE observation [H W C], 0..255, uint8 or float32, the newest frame last"


def is_entry(text: str) -> bool:
    """Whether `text` looks like `module:function`."""
    module, colon, name = text.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), name))


def load_entry(entry: str) -> dict[str, Any]:
    """What `module:function` gives: a function of no arguments that returns `(f, params, preset)`.

    `f(params, obs) -> Output` of one observation, in linen, nnx, equinox, haiku or plain jax; a dict of Output's fields
    will do, and so will a NamedTuple or dataclass that has some of them. `preset` is an `envs.Preset`, or the id of an
    environment (`"Breakout-v5"`) in its usual preset. The module is looked for on Python's path and in the working
    directory.
    Raises ValueError or ImportError that says what to change.
    """
    name, _, function = entry.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"no module {error.name!r} for the agent {entry!r}: run the command where {name.split('.')[0]}.py lies, "
            "or install it"
        ) from None
    finally:
        sys.path.remove(os.getcwd())
    if not hasattr(module, function):
        near = difflib.get_close_matches(function, [n for n, v in vars(module).items() if callable(v)], 1)
        meant = f"; did you mean {name}:{near[0]}?" if near else ""
        raise ValueError(f"{name} has no function {function!r}{meant}")
    make_agent = getattr(module, function)
    if not callable(make_agent) or not _takes_nothing(make_agent):
        what = "takes arguments" if callable(make_agent) else f"is of type {type(make_agent).__name__}"
        raise ValueError(f"{entry} {what}, expected a function of none: def {function}(): return f, params, preset; {_SHAPE}")
    made = make_agent()
    if not isinstance(made, tuple) or len(made) != 3 or not callable(made[0]):
        raise ValueError(f"{entry}() must return (f, params, preset), got {type(made).__name__}; {_SHAPE}")
    f, params, preset = made
    return described(f, params, preset, entry)


def _takes_nothing(function: Callable) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:  # it does not say
        return True
    return True


def described(f: Callable, params: Any, preset: Any, name: str) -> dict[str, Any]:
    """The fields of an Agent for a stranger's function, checked by tracing it once."""
    if isinstance(preset, str):
        preset = make_preset(default_preset(preset), preset)
    if not isinstance(preset, Preset):
        raise ValueError(f"{name}: preset is an envs.Preset or the id of an environment, got {type(preset).__name__}")
    obs_shape, action_names = _view(preset, name)
    given = _as_output(f)
    try:
        out = jax.eval_shape(given, params, jax.ShapeDtypeStruct(obs_shape, jnp.uint8))
    except Exception as error:
        raise ValueError(
            f"{name}: f(params, obs) fails on an observation {list(obs_shape)} of {preset.env_id}: {error}\n{_SHAPE}; a "
            "network that wants a batch, or channels first, is wrapped: lambda params, obs: net(params, "
            "jnp.moveaxis(obs, -1, 0)[None])"
        ) from error
    lengths = {head: x.shape for head, x in (("logits", out.logits), ("q", out.q)) if x is not None}
    for head, shape in lengths.items():
        if len(shape) != 1:
            raise ValueError(f"{name}: {head} of ONE observation is [A], got {list(shape)}: take [0] of the batch inside f")
    if lengths:
        count = next(iter(lengths.values()))[0]
        if action_names and count != len(action_names):
            raise ValueError(f"{name} answers for {count} actions, {preset.env_id} has {len(action_names)}: {action_names}")
        action_names = action_names or tuple(map(str, range(count)))
    return {
        "f": fast_convs(given), "params": jax.tree.map(jnp.asarray, params), "name": name, "network": name, "preset": preset,
        "action_names": action_names, "obs_shape": obs_shape, "card": {"entry": name},
    }  # fmt: skip


def _view(preset: Preset, name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """What the agent sees and can do: of the environment if there is one of that name, else of the preset alone."""
    try:
        env = make(preset.env_id, 1, preset)
    except ValueError as error:
        if not (preset.height and preset.width):
            raise ValueError(f"{name}: {error}. For recordings of a game of your own give its frames: "
                             "Preset('MyGame', height=84, width=84, grey=True, stack=4)") from None  # fmt: skip
        return (preset.height, preset.width, (1 if preset.grey else 3) * preset.stack), ()
    return env.obs_shape, env.action_names


def _as_output(f: Callable) -> Callable:
    """`f` with its answer as an Output."""

    def given(params: Any, obs: jax.Array, *rest: Any) -> Any:
        out = f(params, obs, *rest)
        if isinstance(out, Output):
            return out
        names = out.keys() if isinstance(out, dict) else getattr(out, "_fields", getattr(out, "__dataclass_fields__", ()))
        fields = {name: out[name] if isinstance(out, dict) else getattr(out, name) for name in names}
        known = {name: value for name, value in fields.items() if name in Output._fields}
        if isinstance(out, dict) and len(known) < len(fields):
            raise ValueError(f"f returns {sorted(set(fields) - set(known))}; an Output has {', '.join(Output._fields)}")
        if not known:
            raise ValueError(
                f"f returns {type(out).__name__}; say what it is: networks.Output(logits=..., value=...), a NamedTuple of "
                "your own with such fields, or a dict {'q': ...}"
            )
        return Output(**known)

    return given


# -------------------------------------------------------------------------------------------------------------- CleanRL

SUFFIX = ".cleanrl_model"
_CONVS = (("Conv_0", "conv1"), ("Conv_1", "conv2"), ("Conv_2", "conv3"))


def load_cleanrl(path: Path) -> dict[str, Any]:
    """The fields of an Agent for a checkpoint of CleanRL's Atari agents in JAX.

    `ppo_atari_envpool_xla_jax[_scan]` becomes the network `nature`, `dqn_atari_jax` `nature-q`: the same function of the
    same frames. `c51_atari_jax` answers q, the mean of its distribution of returns (Bellemare et al. 2017, arXiv:1707.06887):
    `nature-q` with a unit an action and atom, and a softmax over atoms. The game is read from the checkpoint (PPO, C51) or
    from the folder's name, `<game>__<script>__<seed>__<time>` (DQN). Raises ValueError for any other network.
    """
    stored: Any = flax.serialization.msgpack_restore(path.read_bytes())
    card: dict[str, Any] = {"cleanrl": path.name}
    atoms = None
    if set(stored) == {"0", "1"} and set(stored["1"]) == {"0", "1", "2"}:
        args, (body, actor, critic) = stored["0"], (stored["1"][i]["params"] for i in "012")
        env_id, card["args"] = args["env_id"], _plain(args)
        network, heads = "nature", {"logits": actor["Dense_0"], "value": critic["Dense_0"]}
    elif set(stored) == {"model_weights", "args"} and _is_q(body := stored["model_weights"].get("params", {})):
        args = stored["args"]
        env_id, card["args"] = args["env_id"], _plain(args)
        network, heads, atoms = "nature-q", {"q": body["Dense_1"]}, _atoms(args, body["Dense_1"], path)
    elif _is_q(body := stored.get("params", {})):
        env_id = path.resolve().parent.name.split("__")[0]
        network, heads = "nature-q", {"q": body["Dense_1"]}
    else:
        raise ValueError(
            f"{path} is none of CleanRL's networks known here (ppo_atari_envpool_xla_jax, its scan, dqn_atari_jax, "
            "c51_atari_jax); wrap it yourself: a module with a function that returns (f, params, preset)"
        )
    env_id = f"{env_id.removesuffix('NoFrameskip-v4')}-v5" if env_id.endswith("NoFrameskip-v4") else env_id
    if not env_id.endswith("-v5"):
        fix = "put it back into its folder runs/<game>__<script>__<seed>__<time>/"
        raise ValueError(f"{path}: {env_id!r} does not name an Atari game: {fix}")
    preset = make_preset("baselines", env_id)
    obs_shape, action_names = _view(preset, str(path))
    layers = {ours: body[theirs] for theirs, ours in _CONVS} | {"fc": body["Dense_0"], **heads}
    units = heads["logits" if network == "nature" else "q"]["kernel"].shape[1]
    count = units if atoms is None else units // len(atoms)
    if count != len(action_names):
        raise ValueError(f"{path} answers for {count} actions, {env_id} has {len(action_names)}: is it another game's?")
    f = make_network(network, units).apply
    return {
        "f": fast_convs(f if atoms is None else _mean_over_atoms(f, atoms)),
        "params": jax.tree.map(jnp.asarray, {"params": layers}), "name": str(path),
        "network": network if atoms is None else f"{network}, {len(atoms)} atoms", "preset": preset,
        "action_names": action_names, "obs_shape": obs_shape, "card": card,
    }  # fmt: skip


def _is_q(layers: Any) -> bool:
    return set(layers) == {"Conv_0", "Conv_1", "Conv_2", "Dense_0", "Dense_1"}


def _plain(args: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in args.items() if isinstance(v, str | int | float | bool)}


def _atoms(args: dict[str, Any], head: dict[str, Any], path: Path) -> np.ndarray:
    """The returns [N] whose probabilities a C51 network gives, checked against the units of its `head`."""
    missing = [name for name in ("env_id", "n_atoms", "v_min", "v_max") if name not in args]
    if missing:
        raise ValueError(f"{path}: its args lack {', '.join(missing)}, which say what the distribution of C51 is over")
    units, count = head["kernel"].shape[1], int(args["n_atoms"])
    if count < 2 or units % count:
        raise ValueError(f"{path}: {units} units are no whole number of actions of {count} atoms each")
    return np.linspace(args["v_min"], args["v_max"], count, dtype=np.float32)


def _mean_over_atoms(f: Callable, atoms: np.ndarray) -> Callable:
    """A network whose `q` holds logits, one an action and atom, as one whose `q` is the mean return of each action."""

    def mean(params: Any, obs: jax.Array) -> Output:
        logits = f(params, obs).q.reshape(-1, len(atoms))
        return Output(q=(jax.nn.softmax(logits, -1) * atoms[None]).sum(-1))

    return mean
