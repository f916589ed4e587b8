"""Convolutions of any function in the form that is fastest on this backend, chosen layer by layer.

On CPU XLA's gradient of a convolution inside a scan is a hundred times slower than it need be; on GPU and TPU its
convolution is the best there is, and functions are left as they are. A new form is one more entry of `conv_forms.FORMS`
and a rule in `conv_plan.choose`; `native` (oneDNN) is the one that is not made of XLA's operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax

from rljax_viz.transforms import native
from rljax_viz.transforms._interpret import UNREACHED, Eqn, Jaxpr, Rule, bodies, run, stage
from rljax_viz.transforms.conv_forms import FORMS
from rljax_viz.transforms.conv_match import Match, match
from rljax_viz.transforms.conv_plan import Plan, choose, dense, side

_WITHOUT_NATIVE = "dilated, grouped or very large: those only by the extra `native`"
DENSE = 500_000  # weights of a fully connected layer from which on oneDNN gains more than its call costs


class ConvReport(NamedTuple):
    """One convolution of a function: x[N H W C], w[h w C/groups K], in which forms `fast_convs` runs it, or why it stays.

    `role`: whether the function holds its "result", or, being differentiated already, its gradient by "input" or "weights".
    """

    x: tuple[int, ...]
    w: tuple[int, ...]
    plan: Plan | None
    reason: str
    role: str = "result"


def fast_convs(f: Callable, form: str | None = None) -> Callable:
    """`f` with every plain convolution in its fastest form; on GPU and TPU `f` itself.

    fast_convs(f)(*args) -> f's output, to 1e-5 of its maximum. Plain: two-dimensional, one float dtype, any layout; dilated
    and grouped ones only with the extra `native`; what stays, `conv_report(f)(*args)` names. Transposed convolutions and
    gradients in `f` are recognised; gradients of fast_convs(f), of any order, are fast too. With the extra `native` oneDNN
    runs them, and large fully connected layers. `form` forces one of FORMS, on every backend, or "native".
    Raises ValueError for an unknown form, ShimError where "native" is asked for and cannot be had.
    """
    if form is not None and form not in (*FORMS, "native"):
        raise ValueError(f"no form of a convolution is called {form!r}; there are {', '.join(FORMS)}, native")
    if form == "native" and native.why_not():
        raise native.ShimError(native.why_not())

    def planned_as(eqn: Eqn) -> tuple[Match, Plan] | None:
        found = match(eqn)
        if isinstance(found, str) or not (found.conv.is_plain or form in (None, "native")):
            return None
        plan = Plan(form, form, form) if form else choose(found.x, found.w, found.conv, eqn.invars[0].aval.dtype)
        return None if plan is None else (found, plan)

    def matches(eqn: Eqn) -> bool:
        return planned_as(eqn) is not None or (form in (None, "native") and _is_dense(eqn))

    def replaced(eqn: Eqn, inputs: list) -> list:
        planned = planned_as(eqn)
        if planned is None:
            return [dense(*inputs)]
        found, plan = planned
        options = {"role": found.role, "size": found.x[1:3], "kernel": found.w[:2], "conv": found.conv, "plan": plan}
        return [found.result(side(*found.operands(*inputs), **options))]

    def fast(*args, **kwargs):
        if form is None and jax.default_backend() != "cpu":
            return f(*args, **kwargs)
        return run(stage(f, args, kwargs), Rule(matches, replaced, UNREACHED))[0]

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
            found = match(eqn)
            if isinstance(found, str):
                x, w = (v.aval.shape for v in eqn.invars)
                yield ConvReport(x, w, None, where or found)
            else:
                plan = None if where else choose(found.x, found.w, found.conv, eqn.invars[0].aval.dtype)
                yield ConvReport(found.x, found.w, plan, where or ("" if plan else _WITHOUT_NATIVE), found.role)
        hidden = where or (eqn.primitive.name in UNREACHED and f"inside {eqn.primitive.name}") or ""
        for body in bodies(eqn):
            yield from _lines(body, hidden)


def _is_dense(eqn: Eqn) -> bool:
    """Whether an equation is a large layer x[... C] @ w[C K], which oneDNN multiplies faster, with its bias and ReLU."""
    if eqn.primitive.name != "dot_general":
        return False
    (x, w), out = (v.aval for v in eqn.invars), eqn.outvars[0].aval
    plain = ((x.ndim - 1,), (0,)), ((), ())
    return (
        eqn.params["dimension_numbers"] == plain
        and w.ndim == 2
        and x.dtype == w.dtype == out.dtype
        and w.size >= DENSE
        and x.size > 0
        and native.usable(x.dtype)
    )
