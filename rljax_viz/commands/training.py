"""Commands that train agents."""

import inspect
import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import UseAppendAction, arg

from ..screen import training_watch

Out = Annotated[Path | None, arg(help="directory to write to; by default runs/<what>")]


def train(
    env: Annotated[str, arg(help="Breakout-v5, CoinrunHard-v0, Breakout-MinAtar, ...")] = "Breakout-MinAtar",
    algo: Annotated[
        str,
        arg(
            help="ppo, a2c, acktr, a3c, a3c-lstm (actor-critic); dqn, double-dqn, dddqn, drqn, darqn, split-attention (of "
            "q-values); idqn (interpretable)"
        ),
    ] = "ppo",
    network: Annotated[str | None, arg(help="nature, minatar, coinrun; by default what suits the environment")] = None,
    steps: Annotated[
        float | None, arg(help="environment steps of each seed, over all its environments; 5e6, or with --resume as before")
    ] = None,
    seeds: Annotated[int, arg(help="agents that learn side by side; agent k is the one that seed + k gives alone")] = 1,
    seed: Annotated[int, arg(help="of everything that is drawn at random")] = 0,
    preset: Annotated[
        str | None, arg(help="how the game is shown: baselines, dqn, machado, colour (Atari), procgen, plain")
    ] = None,
    num_envs: Annotated[int | None, arg(help="games at once for each seed")] = None,
    num_steps: Annotated[int | None, arg(help="steps of each game between two updates")] = None,
    epochs: Annotated[int | None, arg(help="how often each batch is learned from; fewer is faster")] = None,
    num_minibatches: Annotated[int | None, arg(help="parts of a batch, a gradient step each")] = None,
    learning_rate: Annotated[float | None, arg(help="of the optimiser, at the start")] = None,
    entropy_coef: Annotated[float | None, arg(help="weight of the policy's entropy in the loss")] = None,
    discount: Annotated[float | None, arg(help="gamma: what a reward one step later is worth")] = None,
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
    typed = dict(locals())
    from ..runs import RunConfig, make_config, share_cores, train_run

    if steps is not None and not math.isfinite(steps):
        raise ValueError(f"--steps is a number of steps, e.g. 3e6; got {steps}")
    if resume is not None:
        kept = [name for name in _changed(typed) if name not in ("resume", "steps", "tensorboard")]
        if kept:
            flags = ", ".join(f"--{'set' if name == 'settings' else name.replace('_', '-')}" for name in kept)
            raise ValueError(f"a resumed run keeps its settings and its place, all but --steps: leave out {flags}")
        config, where = RunConfig.load(resume), resume
        config = config if steps is None else config.with_steps(int(steps))
    else:
        changes = {
            "steps": steps if steps is None else int(steps), "num_steps": num_steps, "epochs": epochs,
            "num_minibatches": num_minibatches, "learning_rate": learning_rate, "entropy_coef": entropy_coef,
            "discount": discount,
        }  # fmt: skip
        more = _settings(settings)
        for name in more:
            if changes.get(name) is not None or (name in typed and name not in changes):
                raise ValueError(f"--set {name}=... has a flag of its own: say --{name.replace('_', '-')}, and once")
        changes = {"steps": 5_000_000, **{name: value for name, value in changes.items() if value is not None}, **more}
        config = make_config(
            env, algo, network=network, preset=preset, num_envs=num_envs, seed=seed, seeds=seeds,
            checkpoint_every=checkpoint_every, network_options={} if dtype == "float32" else {"dtype": dtype}, **changes,
        )  # fmt: skip
        where = out or Path("runs") / f"{env}-{algo}-{config.network}-{seed}"
    share_cores(config)
    each, asked = config.num_envs * config.algorithm.num_steps, config.algorithm.steps
    cut = f" (of {asked:,}: whole updates of {each:,})" if asked % each and asked > each else ""
    whole = f"{asked // each * each:,} steps{cut}"
    print(f"{config.algo} learns {config.preset.env_id} ({config.preset.name}), {config.network}, {whole}, into {where}")
    done, all_updates = 0, 0

    def told(progress: Any) -> None:
        nonlocal done, all_updates
        done, all_updates = progress.update, progress.num_updates
        watch(progress)

    with training_watch() as watch:
        train_run(config, where, resume=resume is not None, tensorboard=tensorboard, watch=told)
    if done < all_updates:
        raise KeyboardInterrupt(f"stopped after {done} of {all_updates} updates: rljax-viz train --resume {where} goes on")
    print(f"Next: rljax-viz play {where} --record")


def _changed(typed: dict[str, Any]) -> list[str]:
    """The names of those arguments of `train` that are not at their defaults."""
    defaults = inspect.signature(train).parameters
    return [name for name, value in typed.items() if value != defaults[name].default]


def _settings(pairs: list[str]) -> dict[str, Any]:
    """`["clip=0.2", "anneal=false"]` as a dict; values are JSON, or else text; 5e4 is whole."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise ValueError(f"--set is KEY=VALUE, e.g. --set clip=0.2; got {pair!r}")
        try:
            meant = json.loads(value)
        except json.JSONDecodeError:
            meant = value
        whole = isinstance(meant, float) and "." not in value and meant.is_integer()
        found[name.replace("-", "_")] = int(meant) if whole else meant
    return found
