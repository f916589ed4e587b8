"""One small network in five libraries: a convolution, ReLU, a dense layer, ReLU, two heads; tags `conv1` and `fc`."""

import functools
from typing import NamedTuple

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rljax_viz.transforms import tag

KEY = jax.random.key(0)
OBS = jax.random.uniform(jax.random.key(1), (8, 8, 2))
RELUS = 2


class Heads(NamedTuple):
    value: jax.Array
    logits: jax.Array
    carry: None = None


class Linen(nn.Module):
    @nn.compact
    def __call__(self, obs):
        x = tag(nn.relu(nn.Conv(4, (3, 3), padding="VALID")(obs)), "conv1")
        x = tag(nn.relu(nn.Dense(6)(x.reshape(-1))), "fc")
        return Heads(nn.Dense(1)(x)[0], nn.Dense(3)(x))


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 4, (3, 3), padding="VALID", rngs=rngs)
        self.fc = nnx.Linear(144, 6, rngs=rngs)
        self.value, self.logits = nnx.Linear(6, 1, rngs=rngs), nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, obs):
        x = tag(nnx.relu(self.conv(obs)), "conv1")
        x = tag(nnx.relu(self.fc(x.reshape(-1))), "fc")
        return Heads(self.value(x)[0], self.logits(x))


class Equinox(eqx.Module):
    conv: eqx.nn.Conv2d
    fc: eqx.nn.Linear
    value: eqx.nn.Linear
    logits: eqx.nn.Linear

    def __init__(self, key):
        a, b, c, d = jax.random.split(key, 4)
        self.conv, self.fc = eqx.nn.Conv2d(2, 4, 3, key=a), eqx.nn.Linear(144, 6, key=b)
        self.value, self.logits = eqx.nn.Linear(6, "scalar", key=c), eqx.nn.Linear(6, 3, key=d)

    def __call__(self, obs):
        x = tag(jax.nn.relu(self.conv(jnp.moveaxis(obs, -1, 0))), "conv1")
        x = tag(jax.nn.relu(self.fc(x.reshape(-1))), "fc")
        return Heads(self.value(x), self.logits(x))


def _haiku(obs):
    x = tag(jax.nn.relu(hk.Conv2D(4, 3, padding="VALID")(obs)), "conv1")
    x = tag(jax.nn.relu(hk.Linear(6)(x.reshape(-1))), "fc")
    return Heads(hk.Linear(1)(x)[0], hk.Linear(3)(x))


def plain(params, obs, relu=jax.nn.relu, name=tag):
    """Without a library; `relu` and `name` can be replaced by what a test compares with."""
    x = jax.lax.conv_general_dilated(
        obs[None], params["conv"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]
    x = name(relu(x + params["bias"][None, None, :]), "conv1")
    x = name(relu(x.reshape(-1) @ params["fc"]), "fc")
    return Heads(x @ params["value"], x @ params["logits"])


def plain_params():
    shapes = {"conv": (3, 3, 2, 4), "bias": (4,), "fc": (144, 6), "value": (6,), "logits": (6, 3)}
    keys = jax.random.split(KEY, len(shapes))
    return {n: jax.random.normal(k, s) / np.sqrt(np.prod(s[:-1])) for k, (n, s) in zip(keys, shapes.items(), strict=True)}


LIBRARIES = ("plain", "linen", "nnx", "equinox", "haiku")


@functools.cache
def model(library):
    """-> (f, params) with f(params, obs[8 8 2]) -> Heads."""
    if library == "plain":
        return plain, plain_params()
    if library == "linen":
        return Linen().apply, Linen().init(KEY, OBS)
    if library == "nnx":
        graph, state = nnx.split(Nnx(nnx.Rngs(0)))
        return (lambda state, obs: nnx.merge(graph, state)(obs)), state
    if library == "equinox":
        params, static = eqx.partition(Equinox(KEY), eqx.is_array)
        return (lambda params, obs: eqx.combine(params, static)(obs)), params
    net = hk.without_apply_rng(hk.transform(_haiku))
    return net.apply, net.init(KEY, OBS)


def close(out, reference, tolerance=1e-5):
    """Equal structures and shapes, and equal values up to `tolerance` of the largest of each array."""
    assert jax.tree.structure(out) == jax.tree.structure(reference)
    for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(reference), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape, (a.shape, b.shape)
        assert np.abs(a - b).max(initial=0) <= tolerance * np.abs(b).max(initial=0) + 1e-30, np.abs(a - b).max()
