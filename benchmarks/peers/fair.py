"""What both sides of a comparison get alike: the allocator, the cores, and turns one after the other."""

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

# Freed memory stays in the process: otherwise page faults on fresh temporaries rule the result, and differently per side.
MALLOC = {"MALLOC_TOP_PAD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}


def settle(cores: int = 2) -> None:
    """Starts the process again with MALLOC and on `cores` cores; call it before numpy, jax or torch are imported."""
    if hasattr(os, "sched_setaffinity"):  # JAX has no setting for its threads: it takes as many as it sees cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    if any(os.environ.get(name) != value for name, value in MALLOC.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **MALLOC})


def seconds(call: Callable[[], Any]) -> float:
    """How long one call takes; it must wait for its own result."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def take_turns(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each side measures, `rounds` times, one side after the other; who begins changes from round to round."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides) if number % 2 == 0 else reversed(list(sides)):
            found[name].append(sides[name]())
    return found


def spread(values: list[float], digits: int = 1) -> dict[str, float]:
    """Median and quartiles (the values themselves where there are too few for quartiles)."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": round(middle, digits), "q1": round(low, digits), "q3": round(high, digits)}


def ratios(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median and quartiles of ours / theirs, round by round: more than 1 says that ours is faster."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)], 3)
