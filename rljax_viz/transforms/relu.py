"""Another backward rule in the ReLUs of any function: guided backpropagation and the deconvnet.

Recognised: `jax.nn.relu`, `nn.relu`, `nnx.relu`, `jnp.maximum(x, 0)`. Not: `where(x > 0, x, 0)`, `x * (x > 0)`, `relu6`,
`leaky_relu`, `clip`; so look at `relu_count(f)(*args)`. They act on the forward program: `grad(guided(f))`, never
`guided(grad(f))`, whose backward pass is already written down; where that can be seen it is an error.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.transforms._interpret import Eqn, Jaxpr, Literal, Rule, bodies, contains, count, run, scope, stage

OPAQUE = frozenset({"custom_jvp_call", "custom_vjp_call"})


def relu_operand(eqn: Eqn) -> int | None:
    """Which operand of `eqn` is rectified; None if `eqn` is no ReLU."""
    name = eqn.primitive.name
    if name == "max" and jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating):
        zeros = [isinstance(v, Literal) and bool(np.all(np.asarray(v.val) == 0)) for v in eqn.invars]
        return {(True, False): 1, (False, True): 0}.get((zeros[0], zeros[1]))
    if name in ("custom_jvp_call", "jit") and len(eqn.invars) == 1:
        (body,) = bodies(eqn)
        if len(body.eqns) == 1 and body.outvars == body.eqns[0].outvars:
            return None if relu_operand(body.eqns[0]) is None else 0
    return None


def is_relu(eqn: Eqn) -> bool:
    """Whether `eqn` is a ReLU, whichever way it is written."""
    return relu_operand(eqn) is not None


_RELUS = Rule(is_relu, lambda eqn, inputs: inputs, OPAQUE)


def relu_count(f: Callable) -> Callable[..., int]:
    """How many ReLUs `guided` and `deconv` would find in `f`; runs nothing. One in the body of a scan counts once.

    relu_count(f)(*args) -> int
    """
    return lambda *args, **kwargs: count(stage(f, args, kwargs).jaxpr, _RELUS)


def _differentiated(jaxpr: Jaxpr, outer: str = "") -> bool:
    """Whether a ReLU of `jaxpr` has its derivative taken already."""
    for eqn in jaxpr.eqns:
        where = f"{outer}/{scope(eqn)}"
        if is_relu(eqn):
            x, z = eqn.invars[relu_operand(eqn)], eqn.outvars[0]
            # the derivative of maximum asks which operand won; no forward program does
            balanced = any(e.primitive.name == "eq" and e.invars[0] is x and e.invars[1] is z for e in jaxpr.eqns)
            if balanced or "jvp(" in where:
                return True
        elif eqn.primitive.name not in OPAQUE and any(_differentiated(body, where) for body in bodies(eqn)):
            return True
    return False


def relu_backward(f: Callable, rule: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable:
    """`f` whose ReLUs send back `rule(x, g)` for their input `x` and the gradient `g` that arrives; values unchanged.

    relu_backward(f, rule)(*args) -> f's output. Raises ValueError if `f` holds no ReLU, or holds its own derivative.
    """

    @jax.custom_vjp
    def relu(x):
        return jnp.maximum(x, 0)

    relu.defvjp(lambda x: (jnp.maximum(x, 0), x), lambda x, g: (rule(x, g),))
    swap = Rule(is_relu, lambda eqn, inputs: [relu(inputs[relu_operand(eqn)])], OPAQUE)

    def replaced(*args, **kwargs):
        staged = stage(f, args, kwargs)
        if not contains(staged.jaxpr, swap):
            raise ValueError(
                "no ReLU in this function: jax.nn.relu, nn.relu, nnx.relu and jnp.maximum(x, 0) are recognised, not "
                "where(x > 0, x, 0), x * (x > 0), relu6 or leaky_relu. And apply guided to f BEFORE grad: grad(guided(f))"
            )
        if _differentiated(staged.jaxpr):
            raise ValueError(
                "the ReLUs of this function are differentiated already, so their backward rule cannot be changed any "
                "more; apply guided (deconv) to f before grad: jax.grad(guided(f)), not guided(jax.grad(f))"
            )
        return run(staged, swap)[0]

    return replaced


def guided(f: Callable) -> Callable:
    """`f` whose ReLUs pass back only positive gradients, and only where they were active: g (g > 0) (x > 0).

    guided(f)(*args) -> f's output, bit for bit. Springenberg et al. 2015, arXiv:1412.6806, fig. 1. Differs: nothing.
    Raises ValueError if `f` holds no ReLU, or has been differentiated already.
    """
    return relu_backward(f, lambda x, g: jnp.where((x > 0) & (g > 0), g, 0))


def deconv(f: Callable) -> Callable:
    """`f` whose ReLUs pass back only positive gradients, active or not: g (g > 0).

    deconv(f)(*args) -> f's output, bit for bit. Zeiler and Fergus 2014, sec. 2.1, arXiv:1311.2901. Differs: nothing.
    Raises ValueError if `f` holds no ReLU, or has been differentiated already.
    """
    return relu_backward(f, lambda x, g: jnp.where(g > 0, g, 0))
