"""How many frames at once: a short measurement on the frames themselves."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from rljax_viz.sweeps.map_frames import map_frames


def measure(
    explain: Callable, params: Any, frames: Any, *, rest: tuple = (), key: Any = None, tile: int = 32, seconds: float = 0.5
) -> float:
    """Frames a second of `map_frames` at `tile`, into memory, compiled; of the first frames, for about `seconds`."""
    count = min(len(frames), 2 * tile)
    some, others = np.asarray(frames[:count]), jax.tree.map(lambda x: np.asarray(x[:count]), rest)
    map_frames(explain, params, some, None, rest=others, key=key, tile=tile)
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds or not done:
        map_frames(explain, params, some, None, rest=others, key=key, tile=tile)
        done += count
    return done / took


def best_tile(
    explain: Callable,
    params: Any,
    frames: Any,
    *,
    rest: tuple = (),
    key: Any = None,
    tiles: Sequence[int] | None = None,
    seconds: float = 0.5,
) -> int:
    """The tile of `tiles` that explains most frames a second; it stops where a larger one is no faster, or does not fit.

    By default 16 to 256 on CPU (a cache is small), 256 to 8192 on GPU and TPU. A larger tile must gain 3 % to be taken.
    """
    tiles = tiles or ((16, 32, 64, 128, 256) if jax.default_backend() == "cpu" else (256, 1024, 4096, 8192))
    best, speed = tiles[0], 0.0
    for tile in tiles:
        if tile > max(len(frames), tiles[0]):
            break
        try:
            now = measure(explain, params, frames, rest=rest, key=key, tile=tile, seconds=seconds)
        except (jax.errors.JaxRuntimeError, MemoryError):
            if not speed:
                raise
            break
        if speed and now < 0.97 * speed:
            break
        if now > 1.03 * speed:
            best, speed = tile, now
    return best
