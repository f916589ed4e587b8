"""One explanation of every frame of a recording: tiles on the device, reading and writing beside it, resumable."""

import itertools
import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding

from rljax_viz.store import DamagedStore, Maps, claims_on
from rljax_viz.sweeps.blocks import Block, Out, Turns, plan
from rljax_viz.sweeps.program import ONE, map_shapes, program_on


class MapSummary(NamedTuple):
    """What `map_frames` did: of `frames` in all, `skipped` were done before, or by another process.

    `frames_per_second` is of the computed ones, without the compilation; `not_finite` of the computed maps hold NaN or
    infinity.
    """

    frames: int
    skipped: int
    seconds: float
    compile_seconds: float
    frames_per_second: float
    not_finite: int


class UnreadableFrames(OSError):
    """Some frames could not be read and have no map; all others have theirs. `rows` are [start, stop) of the tiles."""

    def __init__(self, reasons: dict[range, str], frames: int):
        self.rows = list(reasons)
        count, first = sum(map(len, self.rows)), min(self.rows, key=lambda rows: rows.start)
        spans = ", ".join(f"{rows.start} to {rows.stop - 1}" for rows in _joined(self.rows))
        super().__init__(
            f"{count} of {frames} frames could not be read and have no map (rows {spans}); all others are done. "
            f"{reasons[first]}. Put the files back or record anew, then run the same command again"
        )


def map_frames(
    explain: Callable,
    params: Any,
    frames: Any,
    out: Out | Mapping[str, Out] | None,
    *,
    rest: tuple = (),
    key: jax.Array | None = None,
    numbers: Any = None,
    tile: int = 32,
    progress: Callable[[int, int], Any] | None = None,
    devices: Sequence[Any] | None = None,
    span: tuple[int, int] | None = None,
) -> Any:
    """`explain(params, frames[i], *rest[i])` for every i, into `out`; `explain(key_i, ...)` if `key` is given.

    frames[N H W C] is any array-like (numpy, jax, `Episodes.observations`); each of `rest` (recorded actions, carries)
    has N rows too. The key of frame i is `fold_in(key, i)`, whatever the tiling; where `frames` are chosen rows of a
    recording, `numbers[N]` says which, and frame i gets the key of frame `numbers[i]`. `out` is a `store.Maps` (frames that
    are done are skipped, so a killed run goes on where it was, and several processes may run the same call at once: each
    takes whole shards that no other is at), a numpy array [N ...], or None; a dict of these if `explain` returns a dict
    of maps. `span=(a, b)` leaves all rows but [a, b) alone, for a part of a job; whole shards cost least.
    Returns a `MapSummary`; with `out=None` the maps themselves as numpy [N ...].
    `tile` frames run at once, an equal part on each of `devices` (default: all local ones): 32 stays in a CPU's cache,
    a GPU likes more; where they do not fit into the memory, half as many are tried, with a warning. `progress(done, N)` is
    called after every tile. Memory does not grow with N. Maps that are not finite are kept as they are, counted, and
    named in one warning.
    Raises ValueError if `out` or `rest` has another length or shape, or if `key` is given to a deterministic explain
    or is missing; at the end UnreadableFrames, if a store of frames was damaged.
    """
    began = time.perf_counter()
    if tile < 1:
        raise ValueError(f"tile is the number of frames that run at once, at least 1; got {tile}")
    frames = _on_host(frames)
    rest = _checked_rest(rest, len(frames))
    shapes = map_shapes(explain, params, frames, rest, key)
    outs = _checked_outs(out, shapes, len(frames))
    numbers = np.arange(len(frames), dtype=np.uint32) if numbers is None else np.asarray(numbers, np.uint32)
    if numbers.shape != (len(frames),):
        raise ValueError(f"numbers names each of the {len(frames)} frames, got shape {numbers.shape}")
    leave = _outside(span, len(frames))
    stored = tuple((name, one.stored_dtype if isinstance(one, Maps) else "float32") for name, one in outs.items())
    program, split, copies = program_on(explain, key is not None, tuple(devices or jax.local_devices()), stored)
    tile = math.ceil(min(tile, max(len(frames), 1)) / split.num_devices) * split.num_devices
    device = _Device(program, split, frames, numbers, rest, *jax.device_put((params, key), copies))
    tally = _Tally(int((~leave).sum()), progress)
    stores = [one for one in outs.values() if isinstance(one, Maps)]
    stores = stores if len(stores) == len(outs) else []  # arrays do not say what is done: everything is computed
    with claims_on([store.path for store in stores]) as claims:
        turns = Turns(stores, claims)
        while blocks := plan(outs, len(frames), tile, leave):
            todo = sum(rows.stop - rows.start for block in blocks for rows in map(block.rows, block.tiles))
            tally.done = tally.total - len(tally.lost) - min(todo, tally.total)
            try:
                _pump(device, turns.of(blocks), outs, tally, turns)
            except (jax.errors.JaxRuntimeError, MemoryError) as error:
                tile = _smaller(tile, split.num_devices, error)
                continue
            if not stores:
                break
            leave |= tally.lost_mask(len(frames))
            turns.wait(blocks[0])  # what another process has begun, it may finish, or leave behind
    tally.warn(explain)
    if tally.lost:
        raise UnreadableFrames(tally.reasons, tally.total)
    if out is None:
        return outs[ONE] if set(outs) == {ONE} else outs
    seconds = time.perf_counter() - began
    speed = tally.computed / max(seconds - tally.compile_seconds, 1e-9)
    skipped = max(tally.total - tally.computed, 0)
    return MapSummary(tally.total, skipped, seconds, tally.compile_seconds, speed, sum(tally.not_finite.values()))


def _outside(span: tuple[int, int] | None, count: int) -> np.ndarray:
    """A mask of the rows that are not in `span`."""
    if span is None:
        return np.zeros(count, bool)
    if not 0 <= span[0] <= span[1] <= count:
        raise ValueError(f"span is (first, last + 1) of the {count} frames, got {span}")
    rows = np.arange(count)
    return (rows < span[0]) | (rows >= span[1])


def _smaller(tile: int, devices: int, error: Exception) -> int:
    """Half the tile where memory ran out; raises `error` where it was something else, or the tile is the least."""
    words = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "OOM")
    if not isinstance(error, MemoryError) and not any(word in str(error) for word in words):
        raise error
    if tile <= devices:
        raise error
    half = math.ceil(tile / 2 / devices) * devices
    warnings.warn(f"{tile} frames at once do not fit into the memory: going on with {half}", RuntimeWarning, stacklevel=3)
    return half


@dataclass
class _Tally:
    """What is counted on the way."""

    total: int
    progress: Callable[[int, int], Any] | None
    done: int = 0
    computed: int = 0
    compile_seconds: float = 0.0
    not_finite: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    reasons: dict[range, str] = field(default_factory=dict)

    def add(self, rows: slice, finite: Mapping[str, jax.Array]) -> None:
        for name, good in finite.items():
            bad = np.flatnonzero(~np.asarray(good)[: rows.stop - rows.start])
            if len(bad):
                self.not_finite[name] = self.not_finite.get(name, 0) + len(bad)
                self.first.setdefault(name, rows.start + int(bad[0]))
        self.done += rows.stop - rows.start
        self.computed += rows.stop - rows.start
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)

    @property
    def lost(self) -> list[int]:
        """The rows that could not be read."""
        return [row for rows in self.reasons for row in rows]

    def lost_mask(self, count: int) -> np.ndarray:
        mask = np.zeros(count, bool)
        mask[self.lost] = True
        return mask

    def warn(self, explain: Callable) -> None:
        who = getattr(explain, "__name__", type(explain).__name__)
        counts = self.not_finite.items()
        bad = [f"{count} of {who if name == ONE else name} (first: frame {self.first[name]})" for name, count in counts]
        if bad:
            message = f"of {self.total} maps, these hold NaN or infinity and are kept as they are: {', '.join(bad)}"
            warnings.warn(message, RuntimeWarning, stacklevel=3)


class _Device(NamedTuple):
    """The compiled program and what it eats."""

    program: Callable
    split: NamedSharding
    frames: Any
    numbers: np.ndarray
    rest: Any
    params: Any
    key: Any

    def read(self, block: Block) -> tuple[Any, dict[int, str]]:
        """The observations and the rest of a block, no more than its open tiles need; and which tiles are damaged, why."""
        try:
            return self._rows(block.span()), {}
        except DamagedStore:
            pass
        parts, damaged = {}, {}
        for first in block.tiles:
            try:
                parts[first] = self._rows(block.rows(first))
            except DamagedStore as error:
                damaged[first] = str(error)

        def whole(array: Any) -> np.ndarray:
            span = block.span()
            return np.zeros((span.stop - span.start, *array.shape[1:]), jax.dtypes.canonicalize_dtype(array.dtype))

        data = jax.tree.map(whole, (self.frames, self.rest))
        for first, part in parts.items():
            rows, offset = block.rows(first), block.tiles[0]
            for into, values in zip(jax.tree.leaves(data), jax.tree.leaves(part), strict=True):
                into[rows.start - offset : rows.stop - offset] = values
        return data, damaged

    def _rows(self, rows: slice) -> Any:
        return jax.tree.map(lambda a: np.asarray(a[rows], jax.dtypes.canonicalize_dtype(a.dtype)), (self.frames, self.rest))

    def launch(self, block: Block, first: int, offset: int, data: Any) -> Any:
        """Starts one tile and does not wait for it; a short tile repeats its last row, so that there is one shape."""
        rows = block.rows(first)
        missing = block.tile - (rows.stop - rows.start)

        def cut(array: np.ndarray) -> np.ndarray:
            part = array[rows.start - offset : rows.stop - offset]
            return np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part

        numbers = cut(self.numbers[offset : rows.stop])
        obs, rest = jax.device_put(jax.tree.map(cut, data), self.split)
        return self.program(jax.device_put(numbers, self.split), obs, rest, self.params, self.key)


def _pump(device: _Device, blocks: Iterator[Block], outs: dict, tally: _Tally, turns: Turns) -> None:
    """Reads block k+1, computes block k and writes block k-1, all at once; an exception in any of them ends it here."""
    flying: deque[tuple[Block, int, Any]] = deque()
    written: deque[Future] = deque()

    def keep(block: Block) -> None:
        block.write(outs)
        turns.give_back(block)

    def settle() -> None:
        block, first, (maps, finite) = flying.popleft()
        block.fill(first, maps)
        if first == block.tiles[-1]:
            while len(written) > 1:  # one block waits while one is written: a slow disk does not fill the memory
                written.popleft().result()
            written.append(writer.submit(keep, block))
        tally.add(block.rows(first), finite)

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead: deque[tuple[Block, Future]] = deque()

        def look_ahead() -> None:
            for block in itertools.islice(blocks, 1):
                ahead.append((block, reader.submit(device.read, block)))

        look_ahead()
        while ahead:
            block, reading = ahead.popleft()
            data, damaged = reading.result()
            look_ahead()
            offset = block.tiles[0]
            for first, why in damaged.items():
                rows = block.rows(first)
                tally.reasons[range(rows.start, rows.stop)] = why
            block.tiles = [first for first in block.tiles if first not in damaged]
            if not block.tiles:
                turns.give_back(block)
                continue
            for first in block.tiles:
                clock = time.perf_counter()
                flying.append((block, first, device.launch(block, first, offset, data)))
                tally.compile_seconds = tally.compile_seconds or time.perf_counter() - clock
                if len(flying) > 1:  # fetch one tile while the next is computed
                    settle()
        while flying:
            settle()
        while written:
            written.popleft().result()


def _joined(every: list[range]) -> list[range]:
    """Neighbouring ranges as one."""
    joined: list[range] = []
    for rows in sorted(every, key=lambda rows: rows.start):
        if joined and joined[-1].stop == rows.start:
            joined[-1] = range(joined[-1].start, rows.stop)
        else:
            joined.append(rows)
    return joined


def _label(name: str, what: str) -> str:
    return what if name == ONE else f"{what}[{name!r}]"


def _on_host(values: Any) -> Any:
    """numpy for a jax array, whose every slice would be compiled; a lazy array stays what it is."""
    return np.asarray(values) if isinstance(values, jax.Array) else values


def _checked_rest(rest: Any, count: int) -> tuple:
    if not isinstance(rest, tuple):
        raise TypeError(f"rest is a tuple of arrays with a row per frame, rest=(actions,); got {type(rest).__name__}")
    for number, values in enumerate(rest):
        for part in jax.tree.leaves(values):
            shape = getattr(part, "shape", None)
            if not shape or shape[0] != count:
                raise ValueError(f"rest[{number}] has shape {shape}; it needs one row for each of the {count} frames")
    return jax.tree.map(_on_host, rest)


def _checked_outs(out: Any, shapes: dict[str, jax.ShapeDtypeStruct], count: int) -> dict[str, Out]:
    """`out` as {name: where to write}; new numpy arrays for None. Raises unless it fits what explain gives."""
    if out is None:
        return {name: np.empty((count, *one.shape), one.dtype) for name, one in shapes.items()}
    outs = dict(out) if isinstance(out, Mapping) else {ONE: out}
    if set(outs) != set(shapes):
        gives, got = [None if set(x) == {ONE} else sorted(x) for x in (shapes, outs)]
        what = "one map per frame: out must be one store or array" if gives is None else f"a dict of maps: {gives}"
        raise ValueError(f"explain gives {what}; out is {'one store or array' if got is None else f'a dict of {got}'}")
    for name, one in shapes.items():
        target, expected, label = outs[name], (count, *one.shape), _label(name, "out")
        if not isinstance(target, Maps | np.ndarray):
            raise TypeError(f"{label} must be a store.Maps, a numpy array or None, not {type(target).__name__}")
        if target.shape != expected:
            fix = f"create_maps(path, frames={count}, shape={one.shape}, ...) or np.empty({expected}, np.float32)"
            raise ValueError(f"{label} has shape {target.shape}, explain on these frames gives {expected}: {fix}")
        if not np.can_cast(one.dtype, target.dtype, "same_kind"):
            raise ValueError(f"{label} is {target.dtype} and cannot hold the {one.dtype} that explain gives")
    return outs
