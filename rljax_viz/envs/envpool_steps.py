"""Steps of an envpool by its own XLA operations, inside any compiled program on CPU: no Python between two steps.

`pool.xla()` itself writes the address of one pool into the program, so that every new pool (one a checkpoint) would cost a
compilation of the whole update. Here the program holds a slot's number, and a shim of a hundred lines, `envpool_steps.cc`,
calls the operations with the pool that is in the slot now.
"""

import ctypes
import functools
import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rljax_viz.transforms.shim import ShimError, compiled

_SOURCE = Path(__file__).with_name("envpool_steps.cc")


_PROBED: dict[str, str] = {}


def why_not(kind: str, make: Callable[[list[int]], Any] | None = None) -> str:
    """'' where the pools that `make(seeds)` gives step by XLA here, else the reason.

    Probed once a process and `kind` ("atari" or "procgen"); without `make`, what is known already.

    An operation has no device of its own: a program spread over several would step the games on each. So where there are
    several, callbacks step, unless RLJAX_VIZ_XLA_STEPS=1 promises that every program runs on one.
    """
    wish = os.environ.get("RLJAX_VIZ_XLA_STEPS")
    if wish == "0":
        return "switched off by RLJAX_VIZ_XLA_STEPS=0"
    if jax.default_backend() != "cpu":
        return "envpool's XLA operations are taken on CPU only"
    if jax.device_count() > 1 and wish != "1":
        return "there are several devices; RLJAX_VIZ_XLA_STEPS=1 if every program runs on one"
    if kind not in _PROBED and make is not None:
        try:
            _PROBED[kind] = _probe(make([1]), make([1]))
        except ShimError as error:
            _PROBED[kind] = str(error)
        except Exception as error:  # whatever a probe meets, callbacks still work
            _PROBED[kind] = f"envpool's XLA operations do not run here: {error}"
    return _PROBED.get(kind, "no game was opened yet")


def _probe(ours: Any, theirs: Any) -> str:
    """'' where two pools of the same seeds play alike for three steps, one by XLA and one by Python."""
    steps, noop = PoolSteps(ours), np.zeros(1, np.int32)
    ours.reset()
    theirs.reset()
    ticket, step = steps.play(ours, 1, 1, 1), jax.jit(steps.step)
    for _ in range(3):
        ticket, answer = step(ticket, noop)
        pairs = zip(jax.tree.leaves(answer), jax.tree.leaves(theirs.step(noop)), strict=True)
        if not all(np.array_equal(mine, other) for mine, other in pairs):
            return "envpool's XLA operations play another game than its Python steps"
    return ""


class PoolSteps:
    """A slot that compiled programs step. They stay valid when another pool of the same kind takes the first one's place.

    `like` is any pool of this kind, read for the shapes of what a step gives. Raises ShimError with the fix.
    """

    def __init__(self, like: Any):
        library = _library()
        self._like, self._slot = like, int(library.rljax_pool_open())
        self._playing: Any = None
        weakref.finalize(self, library.rljax_pool_set, self._slot, None, None, 0, 0, 0, 0)

    def play(self, pool: Any, number: int, games: int, num_actions: int) -> np.ndarray:
        """Puts `pool` into the slot and gives its first ticket, `(number, 0)`. The pool before it may go."""
        calls = {name: (handle, capsules[0]) for name, (handle, _, capsules) in pool._xla()}
        send, recv = (_address(calls[name][1]) for name in ("send", "recv"))
        handle = int.from_bytes(calls["send"][0], sys.byteorder)
        _library().rljax_pool_set(self._slot, send, recv, handle, number, games, num_actions)
        self._playing = pool
        return np.array([number, 0], np.int32)

    def step(self, ticket: jax.Array, action: jax.Array) -> tuple[jax.Array, Any]:
        """`(ticket[2], action[N])` -> the next ticket and what `pool.step` gives, frames `[N C H W]`. For use in jit.

        Refuses, with a sentence, an old ticket, actions for more or fewer games than play, and actions out of range.
        """
        games, (_, results) = action.shape[0], {name: specs for name, (_, specs, _) in self._like._xla()}["recv"]
        held = results[1][1][0]  # how many games `like` has
        shapes = [jax.ShapeDtypeStruct((shape[0] * games // held, *shape[1:]), dtype) for dtype, shape in results[1:]]
        shapes = [jax.ShapeDtypeStruct((2,), np.int32), *shapes]
        ids = np.arange(games, dtype=np.int32)
        call = jax.ffi.ffi_call("rljax_pool_step", shapes, has_side_effect=True)
        ticket, *answer = call(ticket, action.astype(np.int32), ids, ids, slot=np.int64(self._slot))
        return ticket, self._like._to(answer, reset=False, return_info=True)


@functools.cache
def _library() -> ctypes.CDLL:
    path = compiled(_SOURCE)
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ShimError(f"{path} cannot be loaded ({error}); it is built anew next time") from None
    library.rljax_pool_open.restype = ctypes.c_int64
    library.rljax_pool_set.restype = None
    library.rljax_pool_set.argtypes = [
        ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_int32] * 3,
    ]  # fmt: skip
    jax.ffi.register_ffi_target("rljax_pool_step", jax.ffi.pycapsule(library.rljax_pool_step), platform="cpu")
    return library


def _address(capsule: Any) -> int:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return pointer(capsule, None)
