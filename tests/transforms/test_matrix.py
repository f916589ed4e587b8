"""Every transform under every transform of jax, on every library: shapes on the full grid, values on a Latin square.

Each transform is applied so that it must not change the output (identity edits, tail(h), forced-equal forms).
`nn.scan` exists for linen alone.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from rljax_viz.transforms import (
    Rule,
    activations,
    at_layer,
    bind,
    deconv,
    fast_convs,
    guided,
    intervene,
    linear_prefix,
    relu_count,
    rewrite,
    tags,
)
from tests.transforms.tiny import LIBRARIES, OBS, RELUS, Linen, close, model

# ------------------------------------------------------------------- where the network stands when it is transformed


def in_scan(f):
    return lambda params, obs: jax.lax.scan(lambda c, x: (c, f(params, x)), 0, jnp.stack([obs, obs / 2]))[1]


def in_cond(f):
    return lambda params, obs: jax.lax.cond(obs.sum() > 0, f, lambda p, x: f(p, 2 * x), params, obs)


def in_while(f):
    def looped(params, obs):
        start = jax.tree.map(jnp.zeros_like, jax.eval_shape(f, params, obs))
        return jax.lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, f(params, obs)), (0, start))[1]

    return looped


INNER = {
    "jit": jax.jit,
    "scan": in_scan,
    "cond": in_cond,
    "while": in_while,
    "remat": jax.checkpoint,
    "vmap inner": lambda f: lambda params, obs: jax.vmap(f, (None, 0))(params, jnp.stack([obs, obs / 2])),
    "nested": lambda f: intervene(jax.jit(guided(f)), {"conv1": lambda h: h}),
}
OUTER = {
    "vmap outer": lambda g: lambda params, obs: jax.vmap(g, (None, 0))(params, jnp.stack([obs, obs / 2])),
    "grad": lambda g: jax.grad(lambda params, obs: sum(jnp.sum(x) for x in jax.tree.leaves(g(params, obs))), 1),
    "jit outer": jax.jit,
}
RELUS_IN = {"cond": 2 * RELUS, "nested": 0}  # both branches count; guided has replaced them

# ------------------------------------------------------------------------------------- what is done, changing nothing


def listed(g):
    def same(*args):
        assert {"conv1", "fc"} == set(tags(g)(*args))
        return g(*args)

    return same


def through_layer(g):
    def same(*args):
        h, tail = at_layer(g, "fc")(*args)
        return tail(h)

    return same


def through_prefix(g):
    def same(*args):
        z, tail = linear_prefix(g)(*args)
        return tail(z)

    return same


ADD = Rule(lambda eqn: eqn.primitive.name == "add", bind)
SAME = {
    "tags": listed,
    "activations": lambda g: lambda *args: activations(g)(*args)[0],
    "intervene": lambda g: intervene(g, {"fc": lambda h: h}),
    "at_layer": through_layer,
    "guided": guided,
    "deconv": deconv,
    "rewrite": lambda g: rewrite(g, ADD),
    "linear_prefix": through_prefix,
    "fast_convs": lambda g: fast_convs(g, form="rows"),
}
READS = {"activations", "at_layer"}  # what stands in a while_loop can be edited, not read
CELLS = [(t, w) for t in SAME for w in [*INNER, *OUTER]]


def build(transform, where, f):
    """-> (transformed, untransformed)"""
    if where in OUTER:
        return OUTER[where](SAME[transform](f)), OUTER[where](f)
    return SAME[transform](INNER[where](f)), INNER[where](f)


def refused(transform, where):
    if where == "while" and transform in READS:
        return ValueError, "while_loop"
    if where == "nested" and transform in ("guided", "deconv"):
        return ValueError, "no ReLU"
    return None


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("transform", SAME)
def test_shapes_on_the_full_grid(library, transform):
    f, params = model(library)
    for where in [*INNER, *OUTER]:
        new, old = build(transform, where, f)
        if refused(transform, where):
            error, words = refused(transform, where)
            with pytest.raises(error, match=words):
                jax.eval_shape(new, params, OBS)
        else:
            assert jax.eval_shape(new, params, OBS) == jax.eval_shape(old, params, OBS), where


@pytest.mark.parametrize(("transform", "where"), [c for c in CELLS if not refused(*c)])
def test_values_on_a_latin_square(transform, where):
    f, params = model(LIBRARIES[(list(SAME).index(transform) + [*INNER, *OUTER].index(where)) % len(LIBRARIES)])
    got, want = jax.jit(lambda *args: [g(*args) for g in build(transform, where, f)])(params, OBS)
    if where == "grad" and transform in ("guided", "deconv"):
        with pytest.raises(AssertionError):  # here the point is that the gradient is another one
            close(got, want)
    else:
        close(got, want)


@pytest.mark.parametrize("library", LIBRARIES)
def test_relu_count_everywhere(library):
    f, params = model(library)
    for where, wrap in INNER.items():
        assert relu_count(wrap(f))(params, OBS) == RELUS_IN.get(where, RELUS), where


class Scanned(nn.Module):
    """The network over [T 8 8 2], by nn.scan over nn.remat."""

    @nn.compact
    def __call__(self, window):
        class Cell(nn.Module):
            @nn.compact
            def __call__(self, carry, obs):
                return carry, Linen()(obs)

        scan = nn.scan(nn.remat(Cell), variable_broadcast="params", split_rngs={"params": False})
        return scan()(jnp.zeros(()), window)[1]


def test_nn_scan():
    net, window = Scanned(), jnp.stack([OBS, OBS / 2, OBS / 3])
    params = jax.jit(net.init)(jax.random.key(0), window)
    got = jax.jit(lambda *args: {name: same(net.apply)(*args) for name, same in SAME.items()})(params, window)
    for out in got.values():
        close(out, jax.jit(net.apply)(params, window))
    want = jax.eval_shape(OUTER["grad"](net.apply), params, window)
    for same in SAME.values():
        assert jax.eval_shape(OUTER["grad"](same(net.apply)), params, window) == want
    assert relu_count(net.apply)(params, window) == RELUS
