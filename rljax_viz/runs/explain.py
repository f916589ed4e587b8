"""Methods and scores by name over a recording, into `maps/<method>-<score>[-<layer>][+past<N>].zarr` of its run."""

import functools
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ..envs import Preset, check_same_view
from ..explain import METHODS, explain_many
from ..store import DamagedStore, Episodes, Fault, Maps, Report, create_maps, map_name, open_maps, verify
from ..sweeps import best_tile, map_frames, measure
from .agent import Agent, load_agent
from .mapping import data_for, explain_shape, make_explain, scores_for, units
from .past import seen

Watch = Callable[[str, int, int], None]
MEASURED = 2000  # frames: for fewer, finding the best tile takes longer than it saves


def default_tile() -> int:
    """Frames at once where nothing was measured: what stays in a CPU's cache, and what fills a GPU."""
    return 32 if jax.default_backend() == "cpu" else 1024


class Explained(NamedTuple):
    """One finished set of maps; `frames_per_second` is 0 where all were there before."""

    method: str
    score: str
    layer: str | None
    path: Path
    frames: int
    skipped: int
    frames_per_second: float


class Estimate(NamedTuple):
    """What a job would take: `frames` to do of one set of maps, `seconds` on this machine, `gigabytes` on disk at most."""

    method: str
    score: str
    layer: str | None
    frames: int
    seconds: float
    gigabytes: float


@dataclass(frozen=True)
class _Job:
    """One set of maps to make."""

    method: str
    score: str
    layer: str | None
    past: int
    explain: Callable
    shape: tuple[int, ...]
    attributes: dict[str, Any]
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem


def explain_run(
    agent: Agent,
    run: Path,
    methods: Sequence[str],
    score_names: Sequence[str],
    *,
    layer: str | None = None,
    past: int = 0,
    rows: np.ndarray | None = None,
    options: dict[str, dict[str, Any]] | None = None,
    tile: int | None = 32,
    together: bool = False,
    dtype: str = "float16",
    part: tuple[int, int] = (0, 1),
    any_checkpoint: bool = False,
    watch: Watch = lambda name, done, all: None,
) -> list[Explained]:
    """Every method for every score over `run/episodes.zarr` (or over its `rows`), resumable, in several processes at once.

    `options` holds static choices by method: `{"integrated_gradients": {"steps": 10}}`. `tile=None` measures which one
    is fastest; maps that were begun keep theirs. `together` makes all maps in one pass, which share what they have in
    common. `dtype` is how maps are stored: "float16", "uint8" or "float32". `part=(i, n)` does the i-th of n parts of
    the frames. Maps of another checkpoint or another setting are refused, not mixed.
    `past` makes maps [past+1 H W] of the frames t-past ... t, the newest LAST, beside those of the newest frame alone: of an
    agent that remembers, over windows of its episode, from what it remembered before them (frames before its beginning
    have maps of zeros); else of the frames of the stack, as they stood in it.
    Raises FileNotFoundError where nothing has been recorded; ValueError for a recording of another game or view, or (but
    for `any_checkpoint`) of another agent; UnreadableFrames at the end if the recording is damaged.
    """
    episodes = open_recording(agent, run, any_checkpoint)
    jobs = _jobs(agent, run, episodes, methods, score_names, layer, options or {}, past)
    if rows is not None and len(rows) < len(episodes):
        return [_chosen_rows(agent, episodes, job, rows, tile or default_tile(), dtype, watch) for job in jobs]
    groups: list[list[_Job]] = [jobs] if together and jobs else [[job] for job in jobs]
    return [done for group in groups for done in _whole(agent, episodes, group, tile, dtype, part, watch)]


def estimate_run(
    agent: Agent,
    run: Path,
    methods: Sequence[str],
    score_names: Sequence[str],
    *,
    layer: str | None = None,
    past: int = 0,
    options: dict[str, dict[str, Any]] | None = None,
    tile: int | None = 32,
    dtype: str = "float16",
    part: tuple[int, int] = (0, 1),
    any_checkpoint: bool = False,
    watch: Watch = lambda name, done, all: None,
) -> list[Estimate]:
    """What `explain_run` with these arguments would take, from half a second of each method; writes nothing.

    Raises as `explain_run` does. Of a `part` of maps that are not begun the frames are a fair share.
    """
    episodes = open_recording(agent, run, any_checkpoint)
    found = []
    jobs = _jobs(agent, run, episodes, methods, score_names, layer, options or {}, past)
    for number, job in enumerate(jobs):
        watch("measuring", number, len(jobs))
        if (job.path / "zarr.json").exists():
            maps = _maps_for(job, episodes, tile or default_tile(), dtype)
            todo = int((~maps.done[slice(*_span([maps], part))]).sum())
        else:
            todo = math.ceil(len(episodes) / part[1])
        size = math.prod(job.shape) * np.dtype(dtype).itemsize + 6
        seconds = 0.0
        if todo:
            frames, rest = seen(agent, episodes, past)
            given = {"rest": rest, "tile": tile or default_tile()}
            seconds = todo / measure(job.explain, agent.params, frames, **given)
        found.append(Estimate(job.method, job.score, job.layer, todo, seconds, todo * size / 1e9))
    watch("measuring", len(jobs), len(jobs))
    return found


def explain_part(
    part: tuple[int, int],
    *,
    source: str,
    update: int | None = None,
    seed_index: int | None = None,
    network_dtype: str | None = None,
    run: Path,
    methods: Sequence[str],
    score_names: Sequence[str],
    **options: Any,
) -> list[Explained]:
    """`explain_run` for one part, with the agent by its name: what travels to another process (functools.partial it)."""
    agent = _loaded(source, update, seed_index, network_dtype)
    return explain_run(agent, run, methods, score_names, part=part, **options)


def sum_of_parts(parts: Sequence[list[Explained]], seconds: float) -> list[Explained]:
    """What several parts of one job did together in `seconds`."""
    whole = []
    for same in zip(*parts, strict=True):
        frames, skipped = sum(one.frames for one in same), sum(one.skipped for one in same)
        whole.append(same[0]._replace(frames=frames, skipped=skipped, frames_per_second=(frames - skipped) / seconds))
    return whole


@functools.lru_cache(maxsize=1)
def _loaded(source: str, update: int | None, seed_index: int | None, dtype: str | None) -> Agent:
    return load_agent(source, update=update, seed_index=seed_index, dtype=dtype)


def verify_run(run: Path, *, mend: bool = False, watch: Watch = lambda name, done, all: None) -> list[Report]:
    """The checksums of the recording and of all maps of a run. With `mend`, files of damaged maps are thrown away, so that
    `explain_run` makes them again; damaged frames can only be put back, or recorded anew.
    """
    paths = [run / "episodes.zarr", *sorted((run / "maps").glob("*.zarr"))]
    reports = [verify(path, functools.partial(watch, path.name)) for path in paths if path.exists()]
    if not reports:
        fix = f"record some games, rljax-viz play {run} --record"
        raise FileNotFoundError(f"{run} holds neither episodes.zarr nor maps: {fix}")
    lengths = {report.path: report.rows for report in reports}
    frames = lengths.get(run / "episodes.zarr")
    for report in reports:
        if report.path.parent.name != "maps":
            continue
        if not report.rows:  # it cannot even be opened
            if mend and report.faults:
                shutil.rmtree(report.path)
            continue
        if frames and report.rows != frames:
            told = f"maps of {report.rows} frames, but the recording has {frames}: of another one, or rows are lost"
            report.faults.append(Fault("map", 0, 0, told))
        if mend:
            maps = open_maps(report.path)
            for number, rows in enumerate(maps.shards()):
                if report.damaged[rows].any():
                    maps.discard(number)
    return reports


def open_recording(agent: Agent, run: Path, any_checkpoint: bool = False) -> Episodes:
    """`run/episodes.zarr`, if this agent can be shown it. Raises ValueError with the fix if not."""
    path = run / "episodes.zarr"
    if not path.exists():
        raise FileNotFoundError(f"{run} holds no recording (episodes.zarr): rljax-viz play {run} --record")
    episodes = Episodes(path)
    if not len(episodes):
        raise ValueError(f"{path} holds no steps yet: rljax-viz play {run} --record --overwrite")
    if episodes.frames.dtype != np.uint8:
        raise ValueError(f"{path}/frames are {episodes.frames.dtype}, expected uint8 (0..255): write them as they were seen")
    if "preset" in episodes.attributes:
        try:
            shown = replace(Preset.from_json(episodes.attributes["preset"]), padding=episodes.padding)
            check_same_view(shown, agent.preset, agent.name)
        except ValueError as error:
            raise ValueError(f"{path} cannot be shown to this agent: {error}") from None
    shape = episodes.observations.shape[1:]
    if shape != tuple(agent.obs_shape):
        frame, own = (
            sorted((*one[:-1], one[-1] // stack))
            for one, stack in ((shape, episodes.stack), (agent.obs_shape, agent.preset.stack))
        )
        order = ". Its channels stand first: frames are [N H W C]" if frame == own else ""
        raise ValueError(f"{path} holds observations {list(shape)}, {agent.name} sees {list(agent.obs_shape)}{order}")
    have = episodes.attributes.get("checkpoint")
    if have not in (None, agent.checkpoint) and not any_checkpoint:
        raise ValueError(
            f"{run} holds games of checkpoint {have}, this agent is {agent.checkpoint}. Record its own: "
            f"rljax-viz play {run} --record --overwrite; or name the agent that is to look at them: --agent"
        )
    return episodes


def _jobs(agent, run, episodes, methods, score_names, layer, options, past) -> list[_Job]:
    jobs = []
    for method in methods:
        for score in scores_for(agent, method, score_names):
            if score.endswith("chosen") and "action" not in episodes:
                raise ValueError(f"{episodes.path} holds no actions, so {score!r} has no meaning; take {score[:-6]}greedy")
            entry = METHODS.get(method)
            at = (layer or agent.first_layer) if entry and entry.needs_layer else None
            chosen = options.get(method, {})
            data = data_for(agent, method, episodes, past)
            explain = make_explain(agent, method, score, at, past=past, **data, **chosen)
            attributes = {
                "method": method, "score": score, "layer": at, "options": chosen, "checkpoint": agent.checkpoint,
                "agent": agent.name, "preset": agent.preset.to_json(), "units": units(method, score),
                "aggregation": "newest frame, channels summed", "dtype": agent.dtype,
                "key": "0, for all frames" if entry and entry.random else None,
            }  # fmt: skip
            if past:
                attributes |= {"past": past, "aggregation": f"frames t-{past} to t, the newest last, channels summed"}
            shape = explain_shape(agent, explain, past)
            path = run / "maps" / map_name(method, score, at, past)
            jobs.append(_Job(method, score, at, past, explain, shape, attributes, path))
    return jobs


def _whole(agent, episodes, jobs: list[_Job], tile, dtype, part, watch) -> list[Explained]:
    """One pass over all frames, which makes the maps of every job that has some left to make."""
    frames, rest = seen(agent, episodes, jobs[0].past)  # refuses what cannot be shown to this agent
    order = [job.path for job in jobs]
    made = {job.path: one for job in jobs if (one := _finished(job, episodes, tile, dtype, part))}
    left = [job for job in jobs if job.path not in made]
    if not left:
        return list(made.values())
    if any((job.path / "zarr.json").exists() for job in left):
        made = {}  # a pass that was killed: the same program goes on, so that every byte is the same
    else:
        jobs = left
    explain = explain_many({job.name: job.explain for job in jobs})
    tile = next((there for there in map(_tile_of, (job.path for job in jobs)) if there), tile)
    if tile is None:
        # parts of one job begin at the same moment, and must not measure different things
        alone = part[1] == 1 and len(episodes) > MEASURED
        tile = best_tile(explain, agent.params, frames, rest=rest) if alone else default_tile()
    outs = {job.name: _maps_for(job, episodes, tile, dtype) for job in jobs}
    tile = next(iter(outs.values())).attributes["tile"]
    label = jobs[0].name if len(jobs) == 1 else f"{len(jobs)} maps together"
    before = {name: maps.done for name, maps in outs.items()}
    span = _span(list(outs.values()), part)
    progress = functools.partial(watch, label)
    summary = map_frames(explain, agent.params, frames, outs, rest=rest, tile=tile, span=span, progress=progress)
    speed = summary.frames_per_second
    skipped = {name: int(done[slice(*span)].sum()) for name, done in before.items()}
    made |= {j.path: Explained(j.method, j.score, j.layer, j.path, summary.frames, skipped[j.name], speed) for j in jobs}
    return [made[path] for path in order]


def _finished(job: _Job, episodes: Episodes, tile: int | None, dtype: str, part: tuple[int, int]) -> Explained | None:
    """The maps of a job of which nothing is left to do in `part`; None otherwise.

    Raises DamagedStore where maps that are marked as done have lost a file.
    """
    if not (job.path / "zarr.json").exists():
        return None
    maps = _maps_for(job, episodes, tile or default_tile(), dtype)
    if lost := maps.lost():
        raise DamagedStore(
            f"{job.path} lacks {len(lost)} of its files ({lost[0].relative_to(job.path)}, ...), whose maps are marked as "
            "done: add --verify, or run rljax-viz verify RUN --mend, and they are made again"
        )
    first, last = _span([maps], part)
    if not maps.done[first:last].all():
        return None
    return Explained(job.method, job.score, job.layer, job.path, last - first, last - first, 0.0)


def _tile_of(path: Path) -> int | None:
    """The tile of maps that were begun."""
    return open_maps(path).attributes.get("tile") if (path / "zarr.json").exists() else None


def _maps_for(job: _Job, episodes: Episodes, tile: int, dtype: str) -> Maps:
    """The maps of a job, new or begun; those that another process began a moment ago keep its tile."""
    axes = ("past", "y", "x") if job.past else None
    options = {"frames": len(episodes), "shape": job.shape, "dtype": dtype, "axes": axes}
    try:
        return create_maps(job.path, attributes={**job.attributes, "tile": _tile_of(job.path) or tile}, **options)
    except ValueError:
        if _tile_of(job.path) == tile:
            raise
        return create_maps(job.path, attributes={**job.attributes, "tile": _tile_of(job.path)}, **options)


def _span(stores: list[Maps], part: tuple[int, int]) -> tuple[int, int]:
    """The rows of the i-th of n parts, cut between shards."""
    number, parts = part
    if not 0 <= number < parts:
        raise ValueError(f"part i/n is counted from 0 to n - 1, got {number}/{parts}")
    size, count = math.lcm(*(store.shard for store in stores)), len(stores[0])
    blocks = math.ceil(count / size)
    first, last = (min(count, blocks * k // parts * size) for k in (number, number + 1))
    return first, last


def _chosen_rows(agent, episodes, job: _Job, rows, tile, dtype, watch) -> Explained:
    """The maps of some rows alone; they are few, and computed in memory."""
    maps = _maps_for(job, episodes, _tile_of(job.path) or tile, dtype)
    todo, speed = rows[~maps.done[rows]], 0.0
    frames, rest = seen(agent, episodes, job.past)
    rest = jax.tree.map(lambda x: x[todo], rest)
    if len(todo):
        values = np.empty((len(todo), *job.shape), np.float32)
        progress = functools.partial(watch, job.name)
        summary = map_frames(job.explain, agent.params, frames[todo], values, rest=rest, tile=tile, progress=progress)
        speed = summary.frames_per_second
        for at in np.split(np.arange(len(todo)), np.flatnonzero(np.diff(todo) > 1) + 1):
            maps[int(todo[at[0]]) : int(todo[at[-1]]) + 1] = values[at]
    return Explained(job.method, job.score, job.layer, job.path, len(rows), len(rows) - len(todo), speed)
