"""Layer-wise relevance propagation as another backward rule: of ReLUs (epsilon), and of the layers below them (z-plus).

Multiplied by the observation at the end, both are gradients: a ReLU that sends back g a / (y + eps) gives the epsilon rule
(Ancona et al. 2018, arXiv:1711.06104), and a layer that shares what arrives by its positive weights gives z-plus.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rljax_viz.transforms._interpret import Eqn, Jaxpr, Rule, bind, bodies, contains, run, stage
from rljax_viz.transforms.relu import OPAQUE, is_relu, relu_backward, relu_operand

_LAYERS = ("dot_general", "conv_general_dilated", "planned_conv")
# what may stand between a layer and its ReLU, besides the bias
_BETWEEN = ("reshape", "squeeze", "expand_dims", "broadcast_in_dim", "convert_element_type", "transpose", "tag", "copy")


def epsilon_rule(f: Callable, epsilon: float) -> Callable:
    """`f` whose ReLUs send back g relu(y) / (y + epsilon sign(y)); values unchanged."""

    def rule(y: jax.Array, g: jax.Array) -> jax.Array:
        return g * jnp.where(y > 0, y / jnp.where(y > 0, y + epsilon, 1), 0).astype(g.dtype)

    return relu_backward(f, rule)


def z_plus_rule(f: Callable) -> Callable:
    """`f` whose layers before a ReLU share relevance by their positive weights alone; values unchanged.

    Each layer (product or convolution), its bias and its ReLU are taken together: what arrives at the ReLU, times its
    output, is relevance; the layer sends back W+^T (relevance / W+ x). Layers without a ReLU keep their gradient.
    Raises ValueError if `f` holds no such layer.
    """

    def ruled(*args, **kwargs):
        staged = stage(f, args, kwargs)
        layers: set[int] = set()
        relus: set[int] = set()
        _find(staged.jaxpr, layers, relus)

        def apply(eqn: Eqn, inputs: list) -> list:
            if id(eqn) in relus:
                return [_to_relevance(inputs[relu_operand(eqn) or 0])]
            return [_shared(eqn)(*inputs)]

        rule = Rule(lambda eqn: id(eqn) in layers or id(eqn) in relus, apply, OPAQUE)
        if not contains(staged.jaxpr, rule):
            raise ValueError("no layer with a ReLU in this function that z-plus could act on; see transforms.relu_count")
        return run(staged, rule)[0]

    return ruled


def _find(jaxpr: Jaxpr, layers: set[int], relus: set[int]) -> None:
    """The layers of `jaxpr` (and of what it holds) whose result reaches a ReLU, and these ReLUs; by id."""
    made = {id(v): eqn for eqn in jaxpr.eqns for v in eqn.outvars}
    uses: dict[int, int] = {}
    for eqn in jaxpr.eqns:
        for v in eqn.invars:
            uses[id(v)] = uses.get(id(v), 0) + 1

    def layer_of(v) -> Eqn | None:
        eqn = made.get(id(v))
        if eqn is None or uses.get(id(v), 0) != 1:
            return None
        name = eqn.primitive.name
        if name in _LAYERS and (name != "planned_conv" or eqn.params["role"] == "result"):
            return eqn
        if name in _BETWEEN:
            return layer_of(eqn.invars[0])
        if name == "add":
            found = [e for e in map(layer_of, eqn.invars) if e is not None]
            return found[0] if len(found) == 1 else None
        return None

    for eqn in jaxpr.eqns:
        if is_relu(eqn):
            layer = layer_of(eqn.invars[relu_operand(eqn) or 0])
            if layer is not None:
                layers.add(id(layer))
                relus.add(id(eqn))
        elif eqn.primitive.name not in OPAQUE:
            for body in bodies(eqn):
                _find(body, layers, relus)


@jax.custom_vjp
def _to_relevance(y: jax.Array) -> jax.Array:
    """ReLU that sends back relevance, its output times what arrives."""
    return jnp.maximum(y, 0)


_to_relevance.defvjp(lambda y: (jnp.maximum(y, 0), jnp.maximum(y, 0)), lambda a, g: (g * a,))


def _shared(eqn: Eqn) -> Callable:
    """A layer (x, w) -> z that takes relevance and sends back W+^T (relevance / W+ x)."""

    def forward(x, w):
        return bind(eqn, [x, w])[0]

    @jax.custom_vjp
    def layer(x, w):
        return forward(x, w)

    def backward(kept, relevance):
        x, w = kept
        positive, pullback = jax.vjp(lambda x: forward(x, jnp.maximum(w, 0)), x)
        share = jnp.where(positive != 0, relevance / jnp.where(positive != 0, positive, 1), 0)
        return (*pullback(share), jnp.zeros_like(w))

    layer.defvjp(lambda x, w: (forward(x, w), (x, w)), backward)
    return layer
