"""Convolutions and matrix products by oneDNN, on CPU, behind `jax.ffi`: the extra `native`.

PyTorch's kernels, at their speed, in any jitted function. The shim `native.cc` is compiled at first use (five seconds, once a
machine and version) and kept in the user's cache; without oneDNN or a compiler XLA's own forms are taken instead.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.transforms.conv_forms import Conv, deep_frames, deep_kernel, is_deep, like, padded
from rljax_viz.transforms.shim import ShimError, compiled

_SOURCE = Path(__file__).with_name("native.cc")
_INSTALL = "pip install 'rljax-viz[native]'"
_ROLES = {"result": 0, "input": 1, "weights": 2}


def usable(dtype: Any) -> bool:
    """Whether convolutions of `dtype` run by oneDNN here; warns once a process where they could, and do not.

    float32 on any x86-64 Linux, bfloat16 where the processor has AMX (without it XLA's float32 is faster).
    """
    if jax.default_backend() != "cpu" or dtype not in (jnp.float32, jnp.bfloat16):
        return False
    why = why_not()
    if why:
        _warn(why)
        return False
    return dtype == jnp.float32 or has_amx()


def why_not() -> str:
    """'' where oneDNN is ready (it is built now, if it was not), else the reason and what to do."""
    if os.environ.get("RLJAX_VIZ_NATIVE", "1") == "0":
        return "switched off by RLJAX_VIZ_NATIVE=0"
    try:
        _library()
    except ShimError as error:
        return str(error)
    return ""


def has_amx() -> bool:
    """Whether the processor multiplies bfloat16 matrices in hardware (after `why_not() == ''`)."""
    return bool(_library().rljax_has_amx())


def primitives() -> int:
    """How many oneDNN primitives are kept ready in this process, one a shape; 512 at most."""
    return int(_library().rljax_primitives())


def convolve(a: jax.Array, b: jax.Array, *, role: str, size: tuple, kernel: tuple, conv: Conv) -> jax.Array:
    """One side of sum(conv(x, w) * g), as in `conv_plan`: the result (x, w), the input (g, w) or the weights (x, g).

    The gradient by an input of few channels goes by space-to-depth, on whose many oneDNN is six times faster (forward and
    by the weights it gains nothing); a kernel over a single pixel is a matrix product.
    """
    if size == kernel == (1, 1) and conv == Conv(precision=conv.precision):
        return _product(a, b, role)
    if role != "input" or b.shape[2] >= 16 or not (conv.is_plain and is_deep(kernel, conv.strides)):
        return _conv(a, b, role, size, kernel, conv)
    x = like((a.shape[0], *size, b.shape[2]), a)

    def blocks(x):
        return deep_frames(padded(x, conv), kernel, conv)

    w = deep_kernel(b, conv)[0]
    deep = _conv(a, w, role, jax.eval_shape(blocks, x).shape[1:3], w.shape[:2], Conv())
    return jax.linear_transpose(blocks, x)(deep)[0]


def convolve_relu(x: jax.Array, w: jax.Array, bias: jax.Array, conv: Conv) -> jax.Array:
    """max(0, conv(x[N H W C], w[h w C/groups K]) + bias[K]) in one call, rounded once: to be run, not differentiated."""
    size, kernel = x.shape[1:3], w.shape[:2]
    if size == kernel == (1, 1) and conv == Conv(precision=conv.precision):
        return _product(x, w, "result", bias)
    return _conv(x, w, "result", size, kernel, conv, bias)


def _conv(a, b, role, size, kernel, conv, bias=None):
    pads = [int(v) for side in conv.padding for v in side]
    if role == "result":
        spans = zip(size, kernel, conv.padding, conv.strides, conv.dilation, strict=True)
        shape = (a.shape[0], *((s + sum(p) - (k - 1) * d - 1) // t + 1 for s, k, p, t, d in spans), b.shape[3])
    elif role == "input":
        shape = (a.shape[0], *size, b.shape[2] * conv.groups)
    else:
        shape = (*kernel, a.shape[3] // conv.groups, b.shape[3])
    options = {"strides": conv.strides, "padding": pads, "dilation": conv.dilation, "groups": conv.groups}
    return _call("rljax_conv", shape, a, b, bias, role=_ROLES[role], **options)


def _product(a, b, role, bias=None):
    a, b = (v.reshape(-1, v.shape[-1]) for v in (a, b))
    turned = {"result": (0, 0), "input": (0, 1), "weights": (1, 0)}[role]
    shape = (a.shape[turned[0]], b.shape[1 - turned[1]])
    out = _call("rljax_dot", shape, a, b, bias, a_turned=turned[0], b_turned=turned[1])
    return out.reshape((1, 1, *shape) if role == "weights" else (shape[0], 1, 1, shape[1]))


def _call(target: str, shape: tuple[int, ...], a: jax.Array, b: jax.Array, bias: jax.Array | None, **attributes) -> jax.Array:
    """`target` of (a, b), or its `_relu` of (a, b, bias)."""
    _library()
    threads = len(os.sched_getaffinity(0))
    numbers = {k: np.asarray(v, np.int64) if np.ndim(v) else np.int64(v) for k, v in attributes.items()}
    target, more = (target, ()) if bias is None else (f"{target}_relu", (bias,))
    method = None if bias is None else "sequential"  # of bare ones `conv_plan` batches
    return jax.ffi.ffi_call(target, like(shape, a), vmap_method=method)(a, b, *more, threads=np.int64(threads), **numbers)


# ------------------------------------------------------------------------------------------------- building and loading


@functools.cache
def _warn(why: str) -> None:
    if "RLJAX_VIZ_NATIVE" in why or sys.platform != "linux" or platform.machine() != "x86_64":
        return  # chosen, or not to be had
    warnings.warn(f"convolutions run without oneDNN, slower than they could: {why}", stacklevel=2)


@functools.cache
def _library() -> ctypes.CDLL:
    outcome = _load_or_error()
    if isinstance(outcome, ShimError):
        raise outcome
    return outcome


@functools.cache
def _load_or_error() -> ctypes.CDLL | ShimError:
    try:
        return _load()
    except ShimError as error:
        return error


def _load() -> ctypes.CDLL:
    shared, header = _onednn()
    path = compiled(
        _SOURCE, ["-fopenmp", f"-I{header.parent}"], [str(shared), f"-Wl,-rpath,{shared.parent}"],
        [str(shared), str(os.path.getsize(shared))],
    )  # fmt: skip
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # between two calls the cores belong to XLA's threads
    try:
        library = ctypes.CDLL(str(path), mode=os.RTLD_LOCAL | getattr(os, "RTLD_DEEPBIND", 0))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ShimError(f"{path} cannot be loaded ({error}); it is built anew next time") from None
    library.rljax_primitives.restype = ctypes.c_int64
    for target in ("rljax_conv", "rljax_conv_relu", "rljax_dot", "rljax_dot_relu"):
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(getattr(library, target)), platform="cpu")
    return library


def _onednn() -> tuple[Path, Path]:
    """oneDNN's library and header, from the wheels of the extra."""
    found = {}
    for package, name in (("onednn-cpu-gomp", "libdnnl.so.3"), ("onednn-devel-cpu-gomp", "dnnl.hpp")):
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            raise ShimError(f"the package {package} is not installed: {_INSTALL}") from None
        paths = [Path(str(f.locate())).resolve() for f in files if f.name == name]
        kept = [p for p in paths if p.exists() and not (name == "dnnl.hpp" and p.parent.name == "oneapi")]
        if not kept:
            raise ShimError(f"{package} holds no {name}: {_INSTALL} --force-reinstall")
        found[name] = kept[0]
    return found["libdnnl.so.3"], found["dnnl.hpp"]
