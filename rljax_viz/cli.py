"""The process `rljax-viz`: its settings, and how it fails. What can be typed stands in `commands/`."""

import contextlib
import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tyro

from .commands import COMMANDS


def settle_process() -> None:
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


@contextlib.contextmanager
def ended_plainly(name: str, stopped: str = "") -> Iterator[None]:
    """What goes wrong within ends the process with one line, `name: what`, and code 2; with RLJAX_VIZ_TRACEBACK set, in full.

    A stop on request ends it with code 130, and says its own words or else `stopped`.
    """
    try:
        yield
    except (ValueError, OSError, ImportError, KeyError) as error:
        if os.environ.get("RLJAX_VIZ_TRACEBACK"):
            raise
        print(f"{name}: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt as stop:
        if words := str(stop) or stopped:
            print(words, file=sys.stderr)
        raise SystemExit(130) from None


def main() -> None:
    """Entry point of `rljax-viz`."""
    warnings.formatwarning = _plain_warning
    settle_process()
    with ended_plainly("rljax-viz"):
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="rljax-viz", description="See what a deep-RL agent sees. Begin with: rljax-viz demo"
        )
