"""What a run is: everything needed to begin it again, kept as `config.json` in its directory."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..agents import A2C, PPO
from ..envs import Env, Preset, default_preset, make, make_preset

ALGORITHMS = {"ppo": PPO(), "a2c": A2C}


@dataclass(frozen=True)
class RunConfig:
    """A training, complete. Agent k of a run of several seeds is the agent that `seed + k` gives alone."""

    preset: Preset
    algo: str
    algorithm: PPO
    network: str
    network_options: dict[str, Any] = field(default_factory=dict)
    num_envs: int = 8
    seed: int = 0
    seeds: int = 1
    checkpoint_every: int = 64
    version: str = __version__

    def __post_init__(self) -> None:
        if self.algo not in ALGORITHMS:
            raise ValueError(f"no algorithm {self.algo!r}; there are {sorted(ALGORITHMS)}")
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
        preset, algorithm = Preset.from_json(values["preset"]), PPO(**values["algorithm"])
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


def default_network(env_id: str) -> str:
    """The network that suits the frames of `env_id`."""
    if env_id.endswith("-MinAtar"):
        return "minatar"
    return "coinrun" if env_id.endswith("-v0") else "nature"


def make_config(
    env_id: str,
    algo: str = "ppo",
    *,
    network: str | None = None,
    preset: str | None = None,
    num_envs: int | None = None,
    seed: int = 0,
    seeds: int = 1,
    checkpoint_every: int = 64,
    network_options: dict[str, Any] | None = None,
    **algorithm: Any,
) -> RunConfig:
    """A `RunConfig` from names, with the defaults of its environment; `algorithm` holds changes of the algorithm's fields.

    MinAtar plays 64 environments at once with purejaxrl's learning rate and clip, Procgen those of Hilton et al. 2020.
    """
    if algo not in ALGORITHMS:
        raise ValueError(f"no algorithm {algo!r}; there are {sorted(ALGORITHMS)}")
    fields: dict[str, Any] = {}
    if env_id.endswith("-MinAtar"):
        fields = {"learning_rate": 5e-3, "clip": 0.2, "num_minibatches": 8} if algo == "ppo" else {}
        num_envs = num_envs or 64
    elif env_id.endswith("-v0") and algo == "ppo":
        fields = {
            "num_steps": 256, "num_minibatches": 8, "epochs": 3, "learning_rate": 5e-4, "clip": 0.2, "discount": 0.999,
            "anneal": False,
        }  # fmt: skip
        num_envs = num_envs or 64
    fields |= {name: value for name, value in algorithm.items() if value is not None}
    known = {f.name for f in dataclasses.fields(PPO)}
    if unknown := sorted(set(fields) - known):
        raise ValueError(f"{algo} has no setting {unknown}; it has {sorted(known)}")
    return RunConfig(
        preset=make_preset(preset or default_preset(env_id), env_id),
        algo=algo,
        algorithm=dataclasses.replace(ALGORITHMS[algo], **fields),
        network=network or default_network(env_id),
        network_options=network_options or {},
        num_envs=num_envs or 8,
        seed=seed,
        seeds=seeds,
        checkpoint_every=checkpoint_every,
    )
