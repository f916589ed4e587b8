"""The agents that figures 3-7 and tables 3-5 share: every model on every game, trained once for all of them."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from experiments.free_lunch.paper import GAMES, MODELS, SEEDS, STEPS, Model
from experiments.scale import Experiment
from experiments.training import trained

#: at smoke scale: the models that the paper's conclusions are about, as their twins on one game of MinAtar
SMOKE = (
    "nature", "daqn", "rs", "sparse-fls", "sparse-fls-sum-pool", "sparse-fls-norm", "sparse-fls-conv1",
    "sparse-fls-each-conv", "dense-fls-sum-pool",
)  # fmt: skip
FEW = ("nature", "sparse-fls", "sparse-fls-sum-pool", "sparse-fls-each-conv", "dense-fls-sum-pool")
SMOKE_SETTING = {"steps": 40_960, "num_envs": 32, "num_steps": 64, "num_minibatches": 4, "seeds": 4, "seed": 1}
#: and of the real game, of which a fifth of a million frames is seen: the paper's own networks, fast ones
SMOKE_ATARI = ("nature", "daqn", "rs", "sparse-fls", "sparse-fls-sum-pool", "sparse-fls-norm")
SMOKE_ATARI_SETTING = {"steps": 51_200, "learning_rate": 5e-4, "epochs": 3}
#: at the paper's: gym ends a game after so many of the agent's steps. Games begin anew at checkpoints, and those of Enduro
#: are long: checkpoints are farther apart
MOST_STEPS, CHECKPOINT_EVERY = 100_000, 1_024
TINY = {"steps": 1_024, "num_envs": 8, "num_steps": 32, "num_minibatches": 2, "seeds": 2, "seed": 1}
TINY_ATARI = {"steps": 256, "num_envs": 8, "num_steps": 16, "num_minibatches": 1, "epochs": 1}


class Trained(NamedTuple):
    """One agent: `run` is its directory, `seed_index` which of the seeds in it."""

    run: Path
    seed_index: int


def games(at: Experiment) -> tuple[str, ...]:
    return at.choose(("Breakout-MinAtar",), tuple(f"{game}-v5" for game in GAMES), ("Breakout-v5",))


def models(at: Experiment, tiny: bool = False) -> list[Model]:
    """Those of this scale; a tiny run has the few that the claims need."""
    wanted = at.choose(FEW, (), FEW[:3]) if tiny else at.choose(SMOKE, (), SMOKE_ATARI)
    return [model for model in MODELS if not at.smoke or model.network in wanted]


def network_of(at: Experiment, model: Model) -> str:
    return model.network if at.atari or model.twin is None else model.twin


def train(at: Experiment, model: Model, game: str, tiny: bool = False) -> list[Trained]:
    """The model's agents on the game, one a seed: trained, or found trained, beside the experiment's own folder."""
    from rljax_viz.runs import make_config

    network, place = network_of(at, model), at.folder.parent / "agents"
    runs: list[tuple[str, dict[str, Any]]]
    if not at.atari:
        runs = [(f"{game}-{network}", TINY if tiny else SMOKE_SETTING)]
    else:
        seeds = at.choose((1, 2), SEEDS)
        whole = {"steps": STEPS, "checkpoint_every": CHECKPOINT_EVERY}
        setting = TINY_ATARI if tiny else at.choose(SMOKE_ATARI_SETTING, whole)
        runs = [(f"{game}-{network}-{seed}", {**setting, "seed": seed}) for seed in seeds]
    found = []
    for name, setting in runs:
        config = make_config(game, "ppo", network=network, **setting)
        if not at.smoke:
            config = dataclasses.replace(config, preset=dataclasses.replace(config.preset, max_episode_steps=MOST_STEPS))
        found += [Trained(trained(place / name, config, at.say), k) for k in range(config.seeds)]
    return found
