"""Commands that explain recorded games, here or elsewhere, and that check what is on disk."""

from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from ..screen import bars, print_estimates, print_explained, print_reports


def explain(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="a directory with recorded games, or its episodes.zarr")],
    method: Annotated[
        UseAppendAction[list[str]],
        arg(
            help="gradient, guided_backprop, grad_cam, perturbation, ...; several times. `all` is every method, `list` says "
            "which this agent can be explained by"
        ),
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
    past: Annotated[
        int, arg(metavar="N", help="maps of the newest frame and of the N before it, by what the agent remembers or stacks")
    ] = 0,
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
    seed_index: Annotated[int | None, arg(help="which agent of a run of several seeds; by default who played")] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16"] | None, arg(help="what the network computes in; by default as it was trained")
    ] = None,
) -> None:
    """Explain every recorded step, into the run's maps/; what is there already is not computed again.

    A killed command goes on where it was; several at once share the work.

    Example: rljax-viz explain runs/demo --method guided_backprop --method grad_cam --score value
    """
    from ..runs import estimate_run, explain_run, load_agent, methods_of

    run = run.parent if run.name == "episodes.zarr" else run
    damaged = _verify(run, mend=True) if verify else []
    if verify and not (method or methods):
        raise SystemExit(1 if damaged else 0)
    if steps is not None and steps < 1:
        raise ValueError(f"--steps is how many points of the path are summed, 1 or more; got {steps}")
    together = [name.strip() for name in methods.split(",") if name.strip()]
    if agent is None and str(run).startswith("zoo:") and not run.exists():
        name = str(run).removeprefix("zoo:")
        raise ValueError(f"{run} is an agent: rljax-viz play {run} --record, then rljax-viz explain runs/{name} ...")
    if not score and ({*method, *together} == {"attention_map"} or "list" in method):
        score = ["attention"]
    if bool(method) == bool(together) or not score:
        raise ValueError("say what to explain: --method NAME (or --methods A,B,C, in one pass) and --score NAME; e.g. value")
    if agent is None and not any((run / name).exists() for name in ("config.json", "agent.json")) and run.exists():
        raise ValueError(f"{run} does not say who played: name the agent that is to look, e.g. --agent zoo:Breakout-v5")
    loaded = load_agent(agent or run, update=update, seed_index=seed_index, dtype=dtype)
    if "list" in method:
        print("\n".join(methods_of(loaded, past)))
        return
    chosen = together or (methods_of(loaded, past) if "all" in method else method)
    options = {name: {"steps": steps} for name in chosen if name.endswith("integrated_gradients") and steps is not None}
    if steps is not None and not options:
        raise ValueError(f"--steps is of the integrated gradients, and {', '.join(chosen)} has no path: leave it out")
    rest: dict[str, Any] = {"layer": layer, "past": past, "options": options, "tile": tile, "dtype": store_as}
    rest["any_checkpoint"] = agent is not None
    if engine != "here" and not dry_run:
        who = {"source": agent or str(run), "update": update, "seed_index": seed_index, "network_dtype": dtype}
        names = {"run": run, "methods": chosen, "score_names": score, "together": bool(together)}
        return _explain_elsewhere(engine, {**who, **names, **rest}, workers, address, slurm)
    part = _part(shard_range)
    with bars() as watch:
        if dry_run:
            estimates = estimate_run(loaded, run, chosen, score, **rest, part=part, watch=watch)
        else:
            done = explain_run(loaded, run, chosen, score, **rest, together=bool(together), part=part, watch=watch)
    if dry_run:
        print_estimates(estimates)
        return
    print_explained(done)
    if "episodes.zarr" in damaged:
        raise SystemExit(1)  # damaged maps are made anew, but frames stay what they are
    print(f"Next: rljax-viz report {run}")


def _explain_elsewhere(
    engine: str, task: dict[str, Any], workers: int | None, address: str | None, slurm: list[str]
) -> None:
    import functools
    import time

    from ..runs import explain_part, sum_of_parts
    from ..sweeps import run_on_ray, submit_to_slurm

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
    if _verify(run.parent if run.name == "episodes.zarr" else run, mend=mend):
        raise SystemExit(1)


def _part(text: str) -> tuple[int, int]:
    try:
        number, _, parts = text.partition("/")
        return int(number), int(parts)
    except ValueError:
        raise ValueError(f"--shard-range is I/N, e.g. 0/8 to 7/8; got {text!r}") from None


def _verify(run: Path, mend: bool) -> list[str]:
    """Prints what every store of `run` holds and what is damaged; the names of the damaged ones."""
    from ..runs import verify_run

    with bars() as watch:
        reports = verify_run(run, mend=mend, watch=watch)
    print_reports(reports, mend)
    return [report.path.name for report in reports if report.faults]
