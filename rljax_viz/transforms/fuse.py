"""Bias and ReLU inside oneDNN's convolutions: of whole programs, once they are differentiated and batched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from rljax_viz.transforms import native
from rljax_viz.transforms._interpret import UNREACHED, Eqn, Jaxpr, Literal, Rule, bodies, run, stage
from rljax_viz.transforms.conv_plan import NATIVE
from rljax_viz.transforms.relu import is_relu

_SHAPES = ("reshape", "squeeze", "expand_dims")
_END = "end"  # a use that is no equation: the result of the program


def fuse(f: Callable) -> Callable:
    """`f` with every bias and ReLU that follow one of `fast_convs`' convolutions computed by oneDNN with the convolution.

    fuse(f)(*args) -> f's output, to a rounding; `f` itself without the extra `native` and off the CPU. The hidden layer
    is written once instead of three times. The last transform of all, for programs that are only run:
    `jax.jit(fuse(jax.vmap(explain, (None, 0))))`. Backward passes stay as they are (what they ask of the ReLU's input,
    whether it is positive, is answered by its output), and a fused program cannot be differentiated.
    """

    def fused(*args, **kwargs):
        if jax.default_backend() != "cpu":
            return f(*args, **kwargs)
        staged = stage(f, args, kwargs)
        parts = dict(_chains(staged.jaxpr))
        return run(staged, Rule(lambda eqn: id(eqn) in parts, lambda eqn, xs: parts[id(eqn)](eqn, xs), UNREACHED))[0]

    return fused


# ------------------------------------------------------- a chain of equations: convolution, shapes, bias, shapes, ReLU


def _chains(jaxpr: Jaxpr):
    """(id of an equation, how it is evaluated) for all equations of all chains of `jaxpr`, insides included."""
    uses = defaultdict(list)
    for eqn in jaxpr.eqns:
        for v in eqn.invars:
            if not isinstance(v, Literal):
                uses[v].append(eqn)
        for body in bodies(eqn):
            yield from _chains(body)
    for v in jaxpr.outvars:
        if not isinstance(v, Literal):
            uses[v].append(_END)
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "planned_conv" and (eqn.params["role"], eqn.params["plan"]) == ("result", NATIVE):
            yield from _chain(eqn, uses)


def _chain(conv: Eqn, uses: dict) -> Sequence[tuple[int, Callable]]:
    """The parts of the chain that begins with `conv`; none where something else looks at what is in between."""
    parts, (v,), biased = [(id(conv), _begin)], conv.outvars, False
    while True:
        signs = [eqn for eqn in uses[v] if eqn is not _END and _asks_sign(eqn, v)]
        others = [eqn for eqn in uses[v] if not any(eqn is sign for sign in signs)]
        if len(others) != 1 or others[0] is _END:
            return []
        (eqn,) = others
        if biased and is_relu(eqn):
            return [*parts, *((id(sign), _sign) for sign in signs), (id(eqn), _end)]
        if signs:
            return []
        if eqn.primitive.name in _SHAPES and eqn.outvars[0].aval.shape[-1:] == v.aval.shape[-1:]:
            parts.append((id(eqn), lambda eqn, inputs: inputs))
        elif not biased and _adds_bias(eqn, v):
            parts.append((id(eqn), _bias))
            biased = True
        else:
            return []
        (v,) = eqn.outvars


def _asks_sign(eqn: Eqn, v: Any) -> bool:
    """Whether `eqn` is v > 0."""
    left, right = eqn.invars if eqn.primitive.name == "gt" else (None, None)
    return left is v and isinstance(right, Literal) and bool(np.all(np.asarray(right.val) == 0))


def _adds_bias(eqn: Eqn, v: Any) -> bool:
    """Whether `eqn` adds to `v` one number a channel, the last axis."""
    if eqn.primitive.name != "add":
        return False
    (other,) = [u for u in eqn.invars if u is not v] or [v]
    shape = other.aval.shape
    return other.aval.dtype == v.aval.dtype and len(shape) > 0 and int(np.prod(shape)) == shape[-1] == v.aval.shape[-1]


class _Pending:
    """A convolution that waits for its bias; computed when the first of those behind it asks."""

    def __init__(self, x: jax.Array, w: jax.Array, conv: Any) -> None:
        self.x, self.w, self.conv = x, w, conv
        self.bias: Any = None
        self.result: jax.Array | None = None

    def rectified(self, shape: tuple[int, ...]) -> jax.Array:
        if self.result is None:
            self.result = native.convolve_relu(self.x, self.w, self.bias, self.conv)
        return self.result.reshape(shape)


def _begin(eqn: Eqn, inputs: list) -> list:
    x, w = inputs
    return [_Pending(x, w, eqn.params["conv"])]


def _bias(eqn: Eqn, inputs: list) -> list:
    a, b = inputs
    pending, bias = (a, b) if isinstance(a, _Pending) else (b, a)
    pending.bias = bias.reshape(-1)
    return [pending]


def _sign(eqn: Eqn, inputs: list) -> list:
    return [inputs[0].rectified(eqn.outvars[0].aval.shape) > 0]


def _end(eqn: Eqn, inputs: list) -> list:
    (pending,) = [x for x in inputs if isinstance(x, _Pending)]
    return [pending.rectified(eqn.outvars[0].aval.shape)]
