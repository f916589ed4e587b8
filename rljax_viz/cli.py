"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

import ctypes
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional, UseAppendAction, arg

from .screen import (
    bars,
    print_agents,
    print_episodes,
    print_estimates,
    print_explained,
    print_findings,
    print_gaze,
    print_reports,
    training_watch,
)

Out = Annotated[Path | None, arg(help="directory to write to; by default runs/<what>")]


def train(
    env: Annotated[str, arg(help="Breakout-v5, CoinrunHard-v0, Breakout-MinAtar, ...")] = "Breakout-MinAtar",
    algo: Literal["ppo", "a2c"] = "ppo",
    network: Annotated[str | None, arg(help="nature, minatar, coinrun; by default what suits the environment")] = None,
    steps: Annotated[
        float | None, arg(help="environment steps of each seed, over all its environments; 5e6, or with --resume as before")
    ] = None,
    seeds: Annotated[int, arg(help="agents that learn side by side; agent k is the one that seed + k gives alone")] = 1,
    seed: int = 0,
    preset: Annotated[str | None, arg(help="how the game is shown: baselines, dqn, machado (Atari), procgen, plain")] = None,
    num_envs: Annotated[int | None, arg(help="games at once for each seed")] = None,
    num_steps: Annotated[int | None, arg(help="steps of each game between two updates")] = None,
    epochs: Annotated[int | None, arg(help="how often each batch is learned from; fewer is faster")] = None,
    num_minibatches: int | None = None,
    learning_rate: float | None = None,
    entropy_coef: float | None = None,
    discount: float | None = None,
    dtype: Annotated[Literal["float32", "bfloat16"], arg(help="what the network computes in")] = "float32",
    checkpoint_every: Annotated[int, arg(help="updates between two checkpoints; 64 are about five minutes of Atari")] = 64,
    out: Out = None,
    resume: Annotated[Path | None, arg(help="go on with this run, by its settings; only --steps may change")] = None,
    tensorboard: Annotated[bool, arg(help="log to TensorBoard too (pip install 'rljax-viz[log]')")] = False,
) -> None:
    """Train an agent. Ctrl-C saves and stops; `--resume DIR` goes on, also after a kill.

    Example: rljax-viz train --env Breakout-MinAtar --steps 3e6
    """
    from .runs import RunConfig, make_config, train_run

    if resume is not None:
        config, where = RunConfig.load(resume), resume
        config = config if steps is None else config.with_steps(int(steps))
    else:
        changes = {
            "steps": int(steps or 5e6), "num_steps": num_steps, "epochs": epochs, "num_minibatches": num_minibatches,
            "learning_rate": learning_rate, "entropy_coef": entropy_coef, "discount": discount,
        }  # fmt: skip
        config = make_config(
            env, algo, network=network, preset=preset, num_envs=num_envs, seed=seed, seeds=seeds,
            checkpoint_every=checkpoint_every, network_options={} if dtype == "float32" else {"dtype": dtype}, **changes,
        )  # fmt: skip
        where = out or Path("runs") / f"{env}-{algo}-{config.network}-{seed}"
    print(f"{config.algo} learns {config.preset.env_id} ({config.preset.name}), {config.network}, into {where}")
    with training_watch() as watch:
        train_run(config, where, resume=resume is not None, tensorboard=tensorboard, watch=watch)
    print(f"Next: rljax-viz play {where} --record")


def play(
    agent: Annotated[Positional[str], arg(metavar="RUN", help="a run's directory, or zoo:NAME")],
    episodes: Annotated[int, arg(help="whole games to play")] = 30,
    record: Annotated[bool, arg(help="write every step to the run's episodes.zarr")] = False,
    greedy: Annotated[bool, arg(help="take the best action instead of drawing one from the policy")] = False,
    seed: int = 0,
    seed_index: Annotated[int, arg(help="which agent of a run of several seeds")] = 0,
    update: Annotated[int | None, arg(help="the checkpoint of this update instead of the newest")] = None,
    max_steps: Annotated[int | None, arg(help="with --record: stop after so many steps")] = None,
    env: Annotated[str | None, arg(help="refused unless it is the one that the agent knows")] = None,
    preset: Annotated[str | None, arg(help="refused unless the agent sees the same through it")] = None,
    out: Out = None,
    overwrite: Annotated[bool, arg(help="replace what was recorded before, and its maps")] = False,
) -> None:
    """Let an agent play: its score over many games, or (--record) every step of some games, for `explain`.

    Example: rljax-viz play zoo:Breakout-MinAtar --episodes 30
    """
    from .envs import make_preset
    from .runs import evaluate, load_agent
    from .runs import record as record_games

    loaded = load_agent(agent, update=update, seed_index=seed_index)
    view = loaded.preset.for_evaluation()
    if env is not None or preset is not None:
        view = make_preset(preset or view.name, env or view.env_id).for_evaluation()
    if record:
        where = out or (Path("runs") / agent.removeprefix("zoo:") if agent.startswith("zoo:") else Path(agent))
        games = loaded.make_env(1, recording=True, preset=view)
        with bars() as watch:
            path = record_games(
                loaded, where, episodes, greedy=greedy, seed=seed, max_steps=max_steps, overwrite=overwrite, env=games,
                watch=lambda rows, _: watch("steps played", rows, 0),
            )  # fmt: skip
        print_episodes(path)
        print(f"Next: rljax-viz explain {where} --method guided_backprop --score value")
        return
    games = loaded.make_env(min(episodes, 32), preset=view)
    with bars() as watch:
        result = evaluate(
            loaded, episodes, greedy=greedy, seed=seed, env=games, watch=lambda done, all: watch("games", done, all)
        )
    spread = result.returns.std(ddof=1) if episodes > 1 else 0.0
    print(
        f"{loaded.name}: return {result.returns.mean():.2f} +- {spread:.2f} (standard deviation) over {episodes} games, "
        f"from {result.returns.min():g} to {result.returns.max():g}; {result.lengths.mean():.0f} steps a game"
    )


def explain(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="a directory with recorded games, or its episodes.zarr")],
    method: Annotated[
        UseAppendAction[list[str]], arg(help="may be given several times; `all` is every method")
    ] = [],  # noqa: B006  (tyro copies it)
    methods: Annotated[str, arg(metavar="A,B,C", help="several methods in ONE pass, which share what they can")] = "",
    score: Annotated[
        UseAppendAction[list[str]], arg(help="value, logit:3, logit:chosen, or logits (SARFA); several times")
    ] = [],  # noqa: B006
    agent: Annotated[
        str | None,
        arg(help="who looks, if not who played: zoo:NAME, a run, module:function, FILE.cleanrl_model"),
    ] = None,
    layer: Annotated[str | None, arg(help="for the methods that have one; by default the first")] = None,
    steps: Annotated[int | None, arg(help="of the integrated gradients")] = None,
    tile: Annotated[int | None, arg(help="frames computed at once; by default a short measurement decides")] = None,
    store_as: Annotated[
        Literal["float16", "uint8", "float32"], arg(help="uint8 takes half of float16, exact to 0.2 percent of a map's range")
    ] = "float16",
    dry_run: Annotated[bool, arg(help="say frames, seconds and gigabytes, and do nothing")] = False,
    verify: Annotated[
        bool, arg(help="first check every checksum of the recording and its maps; damaged maps are made again")
    ] = False,
    shard_range: Annotated[str, arg(metavar="I/N", help="do the I-th of N parts (0 to N-1), as in a SLURM array")] = "0/1",
    engine: Annotated[
        Literal["here", "ray", "slurm"], arg(help="in this process, on Ray's workers, or as a SLURM array (submitit)")
    ] = "here",
    workers: Annotated[int | None, arg(help="of ray (by default one per GPU, or two); tasks of the slurm array")] = None,
    address: Annotated[str | None, arg(help="of a Ray cluster; by default Ray is started on this machine")] = None,
    slurm: Annotated[
        UseAppendAction[list[str]], arg(metavar="KEY=VALUE", help="for submitit: slurm_partition=gpu, gpus_per_node=1, ...")
    ] = [],  # noqa: B006
    update: Annotated[int | None, arg(help="the checkpoint that played, where it is not the newest")] = None,
    seed_index: Annotated[int, arg(help="which agent of a run of several seeds")] = 0,
    dtype: Annotated[
        Literal["float32", "bfloat16"] | None, arg(help="what the network computes in; by default as it was trained")
    ] = None,
) -> None:
    """Explain every recorded step, into the run's maps/; what is there already is not computed again.

    A killed command goes on where it was; several at once share the work.

    Example: rljax-viz explain runs/demo --method guided_backprop --method grad_cam --score value
    """
    from .runs import estimate_run, explain_run, load_agent, methods_of

    run = run.parent if run.name == "episodes.zarr" else run
    if verify:
        good = _verify(run, mend=True)
        if not (method or methods):
            raise SystemExit(0 if good else 1)
    together = [name.strip() for name in methods.split(",") if name.strip()]
    if bool(method) == bool(together) or not score:
        raise ValueError("say what to explain: --method NAME (or --methods A,B,C, in one pass) and --score NAME; e.g. value")
    if agent is None and not any((run / name).exists() for name in ("config.json", "agent.json")) and run.exists():
        raise ValueError(f"{run} does not say who played: name the agent that is to look, e.g. --agent zoo:Breakout-v5")
    loaded = load_agent(agent or run, update=update, seed_index=seed_index, dtype=dtype)
    chosen = together or (methods_of(loaded) if "all" in method else method)
    options = {name: {"steps": steps} for name in chosen if name.endswith("integrated_gradients") and steps}
    rest: dict[str, Any] = {"layer": layer, "options": options, "tile": tile, "dtype": store_as}
    rest["any_checkpoint"] = agent is not None
    if engine != "here" and not dry_run:
        who = {"source": agent or str(run), "update": update, "seed_index": seed_index, "network_dtype": dtype}
        names = {"run": run, "methods": chosen, "score_names": score, "together": bool(together)}
        return _explain_elsewhere(engine, {**who, **names, **rest}, workers, address, slurm)
    with bars() as watch:
        if dry_run:
            estimates = estimate_run(loaded, run, chosen, score, **rest, watch=watch)
        else:
            part = _part(shard_range)
            done = explain_run(loaded, run, chosen, score, **rest, together=bool(together), part=part, watch=watch)
    if dry_run:
        print_estimates(estimates)
        return
    print_explained(done)
    print(f"Next: rljax-viz report {run}")


def _explain_elsewhere(
    engine: str, task: dict[str, Any], workers: int | None, address: str | None, slurm: list[str]
) -> None:
    import functools
    import time

    from .runs import explain_part, sum_of_parts
    from .sweeps import run_on_ray, submit_to_slurm

    job = functools.partial(explain_part, **task)
    if engine == "slurm":
        pairs = [item.split("=", 1) for item in slurm]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"--slurm is KEY=VALUE, e.g. slurm_partition=gpu; got {slurm}")
        options = {key: int(value) if value.isdigit() else value for key, value in pairs}
        jobs = submit_to_slurm(job, workers or 8, str(task["run"] / "slurm"), options=options)
        print(f"{len(jobs)} tasks submitted ({jobs[0].job_id} ...); their logs: {task['run'] / 'slurm'}")
        return
    began, parts = time.perf_counter(), 8 * (workers or 2)
    with bars() as watch:
        tell = functools.partial(watch, "parts on Ray's workers")
        done = run_on_ray(job, parts, workers=workers, address=address, watch=tell)
    print_explained(sum_of_parts(done, time.perf_counter() - began))
    print(f"Next: rljax-viz report {task['run']}")


def verify(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="a directory with recorded games and maps")],
    mend: Annotated[bool, arg(help="throw damaged maps away: the same explain command makes them again")] = False,
) -> None:
    """Read a recording and its maps from end to end, and compare every checksum.

    Example: rljax-viz verify runs/demo
    """
    if not _verify(run.parent if run.name == "episodes.zarr" else run, mend=mend):
        raise SystemExit(1)


def import_games(
    source: Annotated[Positional[str], arg(metavar="SOURCE", help="games.npz, a folder of PNGs, a video, or minari:NAME")],
    run: Annotated[Positional[Path], arg(metavar="RUN", help="the directory to write to")],
    env: Annotated[str, arg(help="which game it is: Breakout-v5")],
    preset: Annotated[str | None, arg(help="how it was shown; by default the usual one of the game")] = None,
    channels_first: Annotated[bool, arg(help="the frames are [N c H W]")] = False,
    overwrite: Annotated[bool, arg(help="replace what was recorded there before, and its maps")] = False,
) -> None:
    """Take in games that were recorded elsewhere, for `explain --agent`.

    Example: rljax-viz import games.npz runs/games --env Breakout-v5
    """
    from .envs import default_preset, make_preset
    from .runs import import_recording

    shown = make_preset(preset or default_preset(env), env)
    with bars() as watch:
        path = import_recording(
            source, run, shown, channels_first=channels_first, overwrite=overwrite,
            watch=lambda done, all: watch("steps read", done, all),
        )  # fmt: skip
    print_episodes(path)
    print(f"Next: rljax-viz explain {run} --agent zoo:{env} --method guided_backprop --score value")


def export_games(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="a directory with recorded games")],
    target: Annotated[Positional[str], arg(metavar="TARGET", help="games.npz, a folder, games.mkv or .mp4, minari:NAME")],
) -> None:
    """Write recorded games for other programs: .npz, a folder of PNGs, a video, or a Minari dataset.

    Example: rljax-viz export runs/demo games.npz
    """
    from .runs import export_recording

    with bars() as watch:
        print(export_recording(run, target, watch=lambda done, all: watch("steps written", done, all)))


def gaze(
    agent: Annotated[Positional[str], arg(metavar="AGENT", help="zoo:NAME, a run, module:function or FILE.cleanrl_model")],
    folder: Annotated[Positional[Path], arg(metavar="FOLDER", help="trials of Atari-HEAD: NAME.tar.bz2 and NAME.txt")],
    method: Annotated[
        UseAppendAction[list[str]], arg(help="may be given several times")
    ] = [],  # noqa: B006
    score: Annotated[UseAppendAction[list[str]], arg(help="value, logit:chosen, ...; several times")] = [],  # noqa: B006
    layer: Annotated[str | None, arg(help="for the methods that have one; by default the first")] = None,
    most_steps: Annotated[int | None, arg(help="of each trial; by default all")] = None,
    seed: int = 0,
) -> None:
    """Compare an agent's maps with where people looked while they played: NSS, KL divergence, shuffled AUC.

    Example: rljax-viz gaze zoo:Breakout-v5 atari-head/breakout --method guided_backprop --score value --most-steps 500
    """
    from .runs import evaluate_gaze, load_agent

    if not (method and score):
        raise ValueError("say what to compare: --method NAME and --score NAME; e.g. --method grad_cam --score value")
    with bars() as watch:
        options = {"layer": layer, "most_steps": most_steps, "seed": seed}
        results = evaluate_gaze(load_agent(agent), folder, method, score, **options, watch=watch)
    print_gaze(results)


def report(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="a directory with games and maps")],
    max_steps: Annotated[int, arg(help="of a longer recording, the steps around rewards, lost lives and ends")] = 2000,
    video: Annotated[bool, arg(help="write saliency.mp4 too")] = True,
) -> None:
    """Write the explorer page (report.html, one file, no server), gallery.png and the video (saliency.mp4) of a run.

    Example: rljax-viz report runs/demo
    """
    from .report import page_size
    from .runs import report_run

    with bars() as watch:
        page, film = report_run(run, max_steps=max_steps, video=video, watch=watch)
    print(f"{page.resolve()} ({page_size(page) / 1e6:.1f} MB){f' and {film.resolve()}' if film else ''}")


def demo(
    agent: Annotated[str | None, arg(help="zoo:NAME or a run's directory; by default the best real game of the zoo")] = None,
    out: Annotated[Path, arg(help="directory to write to")] = Path("runs/demo"),
    max_frames: Annotated[int, arg(help="steps explained at most")] = 600,
    seed: int = 0,
) -> None:
    """A trained agent plays a real game, six methods explain it, and a page shows what it saw.

    Example: rljax-viz demo
    """
    from . import zoo
    from .runs import run_demo

    if agent is None:
        agent = f"zoo:{next((name for name in ('Breakout-v5', 'Pong-v5') if name in zoo.names()), 'Breakout-MinAtar')}"
    with bars() as watch:
        made = run_demo(out, agent, max_frames=max_frames, seed=seed, watch=watch)
    print(f"{made.agent.name} played {made.episode_steps} steps, return {made.episode_return:g}")
    print_explained(made.explained)
    print(f"{made.explained_steps} steps explained; {made.seconds:.0f} s in all; page {made.page_bytes / 1e6:.1f} MB")
    print(f"Open in a browser: {made.page.resolve()}")
    if made.video:
        print(f"Video: {made.video.resolve()}")


def zoo() -> None:
    """List the trained agents that ship, with their scores.

    Example: rljax-viz zoo
    """
    from . import zoo as agents

    print_agents({name: agents.card(name) for name in agents.names()})


def doctor() -> None:
    """Say what works on this machine, what does not, and how to mend it.

    Example: rljax-viz doctor
    """
    from .runs import diagnose

    findings = diagnose()
    print_findings(findings)
    if any(found.state == "broken" for found in findings):
        raise SystemExit(1)


def _part(text: str) -> tuple[int, int]:
    try:
        number, _, parts = text.partition("/")
        return int(number), int(parts)
    except ValueError:
        raise ValueError(f"--shard-range is I/N, e.g. 0/8 to 7/8; got {text!r}") from None


def _verify(run: Path, mend: bool) -> bool:
    """Prints what every store of `run` holds and what is damaged; whether all is well."""
    from .runs import verify_run

    with bars() as watch:
        reports = verify_run(run, mend=mend, watch=watch)
    print_reports(reports, mend)
    return not any(report.faults for report in reports)


# ------------------------------------------------------------------------------------------------------------- process


def _settle_process() -> None:
    """Settings that cost nothing and that nobody should have to know; what the environment sets, wins.

    glibc gives large blocks back to the system at every free, and fetches them anew: page faults that cost more than the
    arithmetic on them. Compiled programs are kept between processes.
    """
    if sys.platform.startswith("linux") and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        trim, top_pad, mmap = -1, -2, -3  # malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD
        try:
            mallopt = ctypes.CDLL(None).mallopt
            for what, size in ((mmap, 1 << 30), (trim, (1 << 31) - 1), (top_pad, 64 << 20)):
                mallopt(what, size)
        except (AttributeError, OSError):
            pass
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rljax_viz" / "programs"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))


def _plain_warning(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"rljax-viz: {message}\n"


def main() -> None:
    """Entry point of `rljax-viz`."""
    warnings.formatwarning = _plain_warning
    commands: dict[str, Callable] = {f.__name__: f for f in (demo, train, play, explain, report, verify, gaze)}
    commands |= {"import": import_games, "export": export_games, "zoo": zoo, "doctor": doctor}
    _settle_process()
    try:
        tyro.extras.subcommand_cli_from_dict(
            commands, prog="rljax-viz", description="See what a deep-RL agent sees. Begin with: rljax-viz demo"
        )
    except (ValueError, OSError, ImportError, KeyError) as error:
        if os.environ.get("RLJAX_VIZ_TRACEBACK"):
            raise
        print(f"rljax-viz: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
