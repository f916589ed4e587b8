"""The network of tests/oracles.py as a plain jax function, and what the tests of this room ask of it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.explain import METHODS, rise_masks, scores
from rljax_viz.transforms import tag
from tests import oracles

LAYERS = ("conv1", "conv2", "fc")


class Output(NamedTuple):
    """Some other project's output: fields in another order, one more, some missing."""

    value: jax.Array
    logits: jax.Array
    mood: str | None = None
    action: jax.Array | None = None


def f(params, obs, *rest):
    """Output of ONE observation [12 11 3]; `rest` is ignored. Computes in the dtype of the weights."""
    x = (obs.astype(jnp.float32) / 255).astype(params["conv1"]["w"].dtype)
    for name, stride in (("conv1", 2), ("conv2", 1)):
        w, b = params[name]["w"], params[name]["b"]
        x = jax.lax.conv_general_dilated(
            x[None], w, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))[0]
        x = tag(jax.nn.relu(x + b[None, None, :]), name)
    x = tag(jax.nn.relu(x.reshape(-1) @ params["fc"]["w"] + params["fc"]["b"]), "fc")
    head = {name: x @ params[name]["w"] + params[name]["b"] for name in ("logits", "value")}
    return Output(value=head["value"][0], logits=head["logits"])


def params(seed=0, dtype=jnp.float32):
    """`oracles.weights`, rounded."""
    return jax.tree.map(lambda w: jnp.asarray(w, jnp.float32).astype(dtype), oracles.weights(seed))


def build(name, f, score, layer, shape):
    """`explain` of a method in METHODS on observations of `shape`, with small data for those that need some."""
    method, rng = METHODS[name], np.random.default_rng(7)
    data = {
        "baselines": jnp.asarray(rng.integers(0, 256, (3, *shape)), jnp.uint8),
        "masks": rise_masks(jax.random.key(1), 24, 3, 0.5, shape[:2]),
    }
    static = {**method.options, **{need: data[need] for need in method.needs}}
    of = (lambda out: jnp.stack([score(out), -score(out)])) if method.vector else score
    explain = method.factory(f, of, *([layer] if method.needs_layer else []), **static)
    return (lambda *args: explain(jax.random.key(0), *args)) if method.random else explain


def explain_of(name, f=f, score=scores.value, layer="conv1"):
    """`explain(params, obs, *rest)` of a method in METHODS; a random one gets a fixed key."""
    return build(name, f, score, layer, oracles.OBS_SHAPE)


@functools.cache
def compiled(name):
    """The plain case, compiled once for all the tests."""
    return jax.jit(explain_of(name))


def close(map, reference, tolerance=1e-5):
    """Equal shapes, and equal values up to `tolerance` of the largest; the largest must not be zero."""
    map, scale = np.asarray(map, np.float64), np.abs(reference).max()
    assert map.shape == reference.shape
    assert scale > 0, "the reference is zero everywhere and would prove nothing"
    assert np.abs(map - reference).max() <= tolerance * scale
