"""Past one process: the same task for every part of a job, on Ray's actors or as a SLURM array.

A task is a function that can be pickled, `task((i, n))`, and does the i-th of n parts; done-markers on disk say what is
done, so a part may be done again by anybody. Neither ray nor submitit is imported unless it is asked for.
"""

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

Part = tuple[int, int]
Watch = Callable[[int, int], None]


def run_on_ray(
    task: Callable[[Part], Any],
    parts: int,
    *,
    workers: int | None = None,
    gpus: float | None = None,
    address: str | None = None,
    environment: Mapping[str, str] | None = None,
    watch: Watch = lambda done, all: None,
) -> list[Any]:
    """`[task((0, parts)), ..., task((parts - 1, parts))]`, each on one of `workers` actors with `gpus` GPUs of its own (by
    default one, if the cluster has any).

    Only the task and part numbers travel, never arrays. An actor whose process dies is replaced, and its part is given
    to another; a part that kills three actors is an error. `address` is that of a cluster ("auto": the one that this
    machine belongs to); without, Ray is started here, with one worker per GPU, or two. `environment` is set in
    every worker before jax is imported.
    Raises ImportError with the fix where ray is not installed; what a task raises, where it is the task's own fault.
    """
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
        with warnings.catch_warnings():  # jax warns of forks; Ray's children become other programs at once
            warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
            ray.init(address=address, **({} if address else {"num_cpus": max(workers or 2, os.cpu_count() or 1)}), **quiet)
    try:
        gpus = float("GPU" in ray.cluster_resources()) if gpus is None else gpus
        return _on_actors(ray, task, parts, workers or _workers(ray, gpus), gpus, dict(environment or {}), watch)
    finally:
        if ours:
            ray.shutdown()


def submit_to_slurm(
    task: Callable[[Part], Any], parts: int, folder: str, *, options: Mapping[str, Any] | None = None, local: bool = False
) -> list[Any]:
    """Submits one job array of `parts` tasks by submitit, which keeps its logs in `folder`; gives the jobs.

    `options` are submitit's own (`slurm_partition`, `timeout_min`, `gpus_per_node`, ...). A task that SLURM preempts is
    queued again, and goes on where it was. With `local` the tasks are processes of this machine, to try it out.
    Raises ImportError with the fix where submitit is not installed.
    """
    try:
        import submitit  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("submitit is not installed: pip install 'rljax-viz[slurm]'") from error
    executor: Any = submitit.LocalExecutor(folder) if local else submitit.AutoExecutor(folder)
    executor.update_parameters(**{"timeout_min": 60, **(options or {})})
    return executor.map_array(task, [(number, parts) for number in range(parts)])


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("Ray is not installed: pip install 'rljax-viz[ray]'") from error
    return ray


def _workers(ray: Any, gpus: float) -> int:
    have = ray.cluster_resources()
    return max(1, int(have.get("GPU", 0) / gpus)) if gpus else min(2, int(have.get("CPU", 1)))


class _Worker:
    """Runs tasks in a process of its own, on its share of the processor's cores."""

    def __init__(self, number: int, workers: int, gpus: float):
        if not gpus and hasattr(os, "sched_setaffinity"):  # two workers with two threads a core each are slower than one
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, cores[number % len(cores) :: workers] or cores)

    def run(self, task: Callable[[Part], Any], part: Part) -> Any:
        return task(part)


def _on_actors(ray, task, parts, workers, gpus, environment, watch) -> list[Any]:
    Actor = ray.remote(_Worker)
    runtime = {"env_vars": environment} if environment else None

    def actor(number: int) -> Any:
        return Actor.options(num_cpus=1, num_gpus=gpus, runtime_env=runtime).remote(number, workers, gpus)

    task_there = ray.put(task)
    waiting, answers, deaths = list(range(parts)), {}, dict.fromkeys(range(parts), 0)
    busy: dict[Any, tuple[int, int, Any]] = {}

    def give(number: int, who: Any) -> None:
        if waiting:
            part = waiting.pop(0)
            busy[who.run.remote(task_there, (part, parts))] = (part, number, who)

    for number in range(min(workers, parts)):
        give(number, actor(number))
    while busy:
        (ready, *_), _ = ray.wait(list(busy), num_returns=1)
        part, number, who = busy.pop(ready)
        try:
            answers[part] = ray.get(ready)
            watch(len(answers), parts)
        except ray.exceptions.RayActorError as error:
            deaths[part] += 1
            if deaths[part] >= 3:
                raise RuntimeError(f"part {part} of {parts} ended {deaths[part]} workers; the last: {error}") from error
            waiting.insert(0, part)
            who = actor(number)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        give(number, who)
    return [answers[part] for part in range(parts)]
