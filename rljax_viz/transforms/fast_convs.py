"""Convolutions of any function in the form that is fastest on this backend, chosen layer by layer.

On CPU XLA's gradient of a convolution inside a scan is a hundred times slower than it need be; on GPU and TPU its
convolution is the best there is, and functions are left as they are. A new form (a native kernel, say) is one more entry
of `conv_forms.FORMS` and a rule in `conv_plan.choose`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rljax_viz.transforms._interpret import UNREACHED, Eqn, Jaxpr, Rule, bodies, run, stage
from rljax_viz.transforms.conv_forms import FORMS, Conv
from rljax_viz.transforms.conv_plan import Plan, choose, planned

# operands and result as (batch, feature, height, width); and how they are turned to NHWC, HWIO and back
_NHWC = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
_NCHW = ((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3))
_TURNS = {_NHWC: None, _NCHW: ((0, 2, 3, 1), (2, 3, 1, 0), (0, 3, 1, 2))}


class ConvReport(NamedTuple):
    """One convolution of a function: operand shapes, whether `fast_convs` takes it, in which forms, or why not."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    plan: Plan | None
    reason: str


def fast_convs(f: Callable, form: str | None = None) -> Callable:
    """`f` with every plain convolution in its fastest form; on GPU and TPU `f` itself.

    fast_convs(f)(*args) -> f's output, to 1e-5 of its maximum. Plain: two-dimensional, NHWC or NCHW, one group, not
    dilated, one float dtype; the rest stays, and `conv_report(f)(*args)` names it. It goes before differentiation:
    grad(fast_convs(f)), whose gradients of any order are fast too. `form` forces one of FORMS, on every backend.
    Raises ValueError for an unknown form.
    """
    if form is not None and form not in FORMS:
        raise ValueError(f"no form of a convolution is called {form!r}; there are {', '.join(FORMS)}")

    def convolve(eqn: Eqn, inputs: list) -> list:
        (x, w), (conv, turns) = inputs, _conv(eqn)
        if turns is not None:
            x, w = x.transpose(turns[0]), w.transpose(turns[1])
        plan = choose(x.shape, w.shape, conv) if form is None else Plan(form, form, form)
        out = planned(x, w, conv, plan)
        return [out if turns is None else out.transpose(turns[2])]

    def fast(*args, **kwargs):
        if form is None and jax.default_backend() != "cpu":
            return f(*args, **kwargs)
        return run(stage(f, args, kwargs), Rule(lambda eqn: _why_not(eqn) == "", convolve, UNREACHED))[0]

    return fast


def conv_report(f: Callable) -> Callable[..., list[ConvReport]]:
    """What `fast_convs` would do on CPU with each convolution of `f`; runs nothing.

    conv_report(f)(*args) -> one line a convolution, in order; `plan` is None and `reason` says why where it stays as it is.
    """

    def report(*args, **kwargs):
        return list(_lines(stage(f, args, kwargs).jaxpr, ""))

    return report


def _lines(jaxpr: Jaxpr, where: str):
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "conv_general_dilated":
            shapes = [v.aval.shape for v in eqn.invars]
            reason = where or _why_not(eqn)
            plan = None
            if not reason:
                conv, turns = _conv(eqn)
                shapes = [tuple(s[i] for i in turn) for s, turn in zip(shapes, turns or [range(4)] * 2, strict=False)]
                plan = choose(*shapes, conv)
            yield ConvReport(*shapes, plan, reason)
        hidden = where or (eqn.primitive.name in UNREACHED and f"inside {eqn.primitive.name}") or ""
        for body in bodies(eqn):
            yield from _lines(body, hidden)


def _why_not(eqn: Eqn) -> str:
    """Why an equation is no convolution that can take another form; '' if it is one."""
    if eqn.primitive.name != "conv_general_dilated":
        return "no convolution"
    p = eqn.params
    x, w = (v.aval for v in eqn.invars)
    if len(x.shape) != 4:
        return f"{len(x.shape) - 2}-dimensional"
    if p["feature_group_count"] != 1 or p["batch_group_count"] != 1:
        return "grouped"
    if {*p["lhs_dilation"], *p["rhs_dilation"]} != {1}:
        return "dilated"
    if tuple(p["dimension_numbers"]) not in _TURNS:
        return "its operands lie neither as NHWC nor as NCHW (a gradient? apply fast_convs before grad)"
    if not (jnp.issubdtype(x.dtype, jnp.floating) and x.dtype == w.dtype == eqn.outvars[0].aval.dtype):
        return f"dtypes {x.dtype}, {w.dtype} -> {eqn.outvars[0].aval.dtype}"
    if min(x.shape + w.shape + eqn.outvars[0].aval.shape) < 1 or min(b for pad in p["padding"] for b in pad) < 0:
        return "empty, or cropped by a negative padding"
    return ""


def _conv(eqn: Eqn) -> tuple[Conv, tuple | None]:
    p = eqn.params
    sh, sw = map(int, p["window_strides"])
    rows, columns = ((int(low), int(high)) for low, high in p["padding"])
    return Conv((sh, sw), (rows, columns), p["precision"]), _TURNS[tuple(p["dimension_numbers"])]
