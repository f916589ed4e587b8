"""What a run is: everything needed to begin it again, kept as `config.json` in its directory."""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..agents import find_algorithm
from ..envs import Env, Preset, default_preset, door_of, make, make_preset
from ..networks import options_of

#: steps of each game between two checkpoints, where games begin anew: what lies later in a game is never learned
LONG_GAME = 8192


@dataclass(frozen=True)
class RunConfig:
    """A training, complete. Agent k of a run of several seeds is the agent that `seed + k` gives alone."""

    preset: Preset
    algo: str
    algorithm: Any  #: the frozen dataclass of its settings
    network: str
    network_options: dict[str, Any] = field(default_factory=dict)
    num_envs: int = 8
    seed: int = 0
    seeds: int = 1
    checkpoint_every: int = 64
    version: str = __version__

    def __post_init__(self) -> None:
        find_algorithm(self.algo)
        for name in ("num_envs", "seeds", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")

    def env(self) -> Env:
        return make(self.preset.env_id, self.num_envs, self.preset)

    def with_steps(self, steps: int) -> "RunConfig":
        """The same run, to another end."""
        return dataclasses.replace(self, algorithm=dataclasses.replace(self.algorithm, steps=steps))

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RunConfig":
        settings = type(find_algorithm(values["algo"]).config)
        preset, algorithm = Preset.from_json(values["preset"]), settings(**values["algorithm"])
        return cls(**{**values, "preset": preset, "algorithm": algorithm})

    def save(self, run: Path) -> None:
        run.mkdir(parents=True, exist_ok=True)
        (run / "config.json").write_text(json.dumps(self.to_json(), indent=2) + "\n")

    @classmethod
    def load(cls, run: Path) -> "RunConfig":
        """Raises FileNotFoundError where `run` is not the directory of a run."""
        path = run / "config.json"
        if not path.exists():
            raise FileNotFoundError(
                f"{run} is not a run: it has no config.json. Make one: rljax-viz train --env Breakout-MinAtar --out {run}"
            )
        return cls.from_json(json.loads(path.read_text()))


def kind_of(env_id: str) -> str:
    """Which kind of games the defaults go by: "atari", "minatar", "procgen" or "other"."""
    if env_id.endswith("-MinAtar"):
        return "minatar"
    return {"envpool-atari": "atari", "ale-atari": "atari", "envpool-procgen": "procgen"}.get(door_of(env_id), "other")


def default_network(env_id: str, algo: str = "ppo") -> str:
    """The network that suits the frames of `env_id` and the algorithm."""
    kind = kind_of(env_id)
    usual = {"minatar": "minatar", "procgen": "coinrun"}.get(kind, "nature")
    return find_algorithm(algo).networks.get(kind, usual)


def make_config(
    env_id: str,
    algo: str = "ppo",
    *,
    network: str | None = None,
    preset: str | None = None,
    num_envs: int | None = None,
    seed: int = 0,
    seeds: int = 1,
    checkpoint_every: int | None = None,
    network_options: dict[str, Any] | None = None,
    **algorithm: Any,
) -> RunConfig:
    """A `RunConfig` from names, with the defaults of its environment; `algorithm` holds changes of the algorithm's fields, or
    where it has none of that name, options of the network. By default games run for up to `LONG_GAME` steps.

    Raises ValueError for an unknown algorithm, network or setting, or a network that the algorithm cannot have.
    """
    entry, kind = find_algorithm(algo), kind_of(env_id)
    fields = entry.settings.get(kind, {}) | {name: value for name, value in algorithm.items() if value is not None}
    network = network or default_network(env_id, algo)
    known, options = {f.name for f in dataclasses.fields(entry.config)}, set(options_of(network))
    entry.check_network(algo, network)
    if unknown := sorted(set(fields) - known - options):
        raise ValueError(
            f"{algo} has no setting {unknown}; it has {sorted(known)}, and its network {network} has {sorted(options)}"
        )
    learned = dataclasses.replace(entry.config, **{k: v for k, v in fields.items() if k in known})
    usual = max(64, math.ceil(LONG_GAME / learned.num_steps))
    of_network = {name: value for name, value in fields.items() if name not in known}
    return RunConfig(
        preset=make_preset(preset or default_preset(env_id), env_id, **entry.views.get(kind, {})),
        algo=algo,
        algorithm=learned,
        network=network,
        network_options={**(network_options or {}), **of_network},
        num_envs=entry.num_envs.get(kind, 8) if num_envs is None else num_envs,
        seed=seed,
        seeds=seeds,
        checkpoint_every=usual if checkpoint_every is None else checkpoint_every,
    )
