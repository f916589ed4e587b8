"""Commands that train agents."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import UseAppendAction, arg

from ..screen import training_watch

Out = Annotated[Path | None, arg(help="directory to write to; by default runs/<what>")]


def train(
    env: Annotated[str, arg(help="Breakout-v5, CoinrunHard-v0, Breakout-MinAtar, ...")] = "Breakout-MinAtar",
    algo: Annotated[str, arg(help="ppo, a2c, ...; an unknown one lists them all")] = "ppo",
    network: Annotated[str | None, arg(help="nature, minatar, coinrun; by default what suits the environment")] = None,
    steps: Annotated[
        float | None, arg(help="environment steps of each seed, over all its environments; 5e6, or with --resume as before")
    ] = None,
    seeds: Annotated[int, arg(help="agents that learn side by side; agent k is the one that seed + k gives alone")] = 1,
    seed: int = 0,
    preset: Annotated[
        str | None, arg(help="how the game is shown: baselines, dqn, machado, colour (Atari), procgen, plain")
    ] = None,
    num_envs: Annotated[int | None, arg(help="games at once for each seed")] = None,
    num_steps: Annotated[int | None, arg(help="steps of each game between two updates")] = None,
    epochs: Annotated[int | None, arg(help="how often each batch is learned from; fewer is faster")] = None,
    num_minibatches: int | None = None,
    learning_rate: float | None = None,
    entropy_coef: float | None = None,
    discount: float | None = None,
    settings: Annotated[
        UseAppendAction[list[str]],
        arg(
            name="set", metavar="KEY=VALUE",
            help="another setting of the algorithm, or an option of its network (decoder=vae); several times",
        ),
    ] = [],  # noqa: B006  (tyro copies it)
    dtype: Annotated[Literal["float32", "bfloat16"], arg(help="what the network computes in")] = "float32",
    checkpoint_every: Annotated[
        int | None,
        arg(
            help="updates between two checkpoints, where all games begin anew; by default those of 8,192 steps of each game "
            "(64 of ppo's, about five minutes of Atari)"
        ),
    ] = None,
    out: Out = None,
    resume: Annotated[Path | None, arg(help="go on with this run, by its settings; only --steps may change")] = None,
    tensorboard: Annotated[bool, arg(help="log to TensorBoard too (pip install 'rljax-viz[log]')")] = False,
) -> None:
    """Train an agent. Ctrl-C saves and stops; `--resume DIR` goes on, also after a kill.

    Example: rljax-viz train --env Breakout-MinAtar --steps 3e6
    """
    from ..runs import RunConfig, make_config, share_cores, train_run

    if resume is not None:
        config, where = RunConfig.load(resume), resume
        config = config if steps is None else config.with_steps(int(steps))
    else:
        changes = {
            "steps": int(steps or 5e6), "num_steps": num_steps, "epochs": epochs, "num_minibatches": num_minibatches,
            "learning_rate": learning_rate, "entropy_coef": entropy_coef, "discount": discount, **_settings(settings),
        }  # fmt: skip
        config = make_config(
            env, algo, network=network, preset=preset, num_envs=num_envs, seed=seed, seeds=seeds,
            checkpoint_every=checkpoint_every, network_options={} if dtype == "float32" else {"dtype": dtype}, **changes,
        )  # fmt: skip
        where = out or Path("runs") / f"{env}-{algo}-{config.network}-{seed}"
    share_cores(config)
    print(f"{config.algo} learns {config.preset.env_id} ({config.preset.name}), {config.network}, into {where}")
    with training_watch() as watch:
        train_run(config, where, resume=resume is not None, tensorboard=tensorboard, watch=watch)
    print(f"Next: rljax-viz play {where} --record")


def _settings(pairs: list[str]) -> dict[str, Any]:
    """`["clip=0.2", "anneal=false"]` as a dict; values are JSON, or else text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise ValueError(f"--set is KEY=VALUE, e.g. --set clip=0.2; got {pair!r}")
        try:
            found[name.replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            found[name.replace("-", "_")] = value
    return found
