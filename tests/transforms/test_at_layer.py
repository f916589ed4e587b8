"""A function cut at a layer: tail(h) is f, the tail holds what hangs on h only, and both halves are ordinary functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from rljax_viz.transforms import activations, at_layer, guided, intervene, linear_prefix, relu_count, tag, tags
from tests.transforms.tiny import LIBRARIES, OBS, close, model


def primitives(f, *args):
    """The names of all the equations of `f`, insides included; what is captured is not among them."""
    def names(jaxpr):
        for eqn in jaxpr.eqns:
            yield eqn.primitive.name
            for v in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
                if hasattr(v, "eqns"):
                    yield from names(getattr(v, "jaxpr", v))

    return list(names(jax.make_jaxpr(f)(*args).jaxpr))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("layer", ["conv1", "fc"])
def test_halves_make_the_whole(library, layer):
    f, params = model(library)

    @jax.jit
    def everything(params, obs):
        h, tail = at_layer(f, layer)(params, obs)
        out, hidden = activations(f)(params, obs)
        twice = intervene(f, {layer: lambda h: 2 * h})(params, obs)
        return (h, tail(h), tail(2 * h)), (hidden[layer], out, twice)

    close(*everything(params, OBS))


def test_the_tail_holds_only_what_hangs_on_the_layer():
    f, params = model("plain")
    h, tail = at_layer(f, "conv1")(params, OBS)
    inside = primitives(tail, h)
    assert "conv_general_dilated" not in inside
    assert inside.count("dot_general") == 3
    h, tail = at_layer(f, "fc")(params, OBS)
    assert primitives(tail, h).count("dot_general") == 2


def test_what_lies_beside_is_computed_once_and_captured():
    def f(w, x):
        beside = jnp.tanh(w @ x)  # neither below nor above
        return beside * tag(jnp.sin(x), "h") + jnp.cosh(beside)

    w = jax.random.normal(jax.random.key(0), (3, 3))
    h, tail = at_layer(jax.jit(f), "h")(w, jnp.arange(3.0))
    assert set(primitives(tail, h)) == {"tag", "mul", "add"}
    close(tail(h), f(w, jnp.arange(3.0)))


def test_both_halves_under_jit_grad_vmap_and_scan():
    f, params = model("linen")

    def slopes(params, obs):
        h, tail = at_layer(f, "conv1")(params, obs)
        slope = jax.grad(lambda h: tail(h).value)
        many = jax.vmap(slope)(jnp.stack([h, 0 * h]))
        loop = jax.lax.scan(lambda c, a: (c + slope(a * h), None), 0 * h, jnp.array([0.5, 1.0]))[0]
        return slope(h), many, loop

    def by_hand(params, obs, a):
        h = activations(f)(params, obs)[1]["conv1"]
        return jax.grad(lambda d: intervene(f, {"conv1": lambda _: d})(params, obs).value)(a * h)

    batch = jnp.stack([OBS, OBS / 2])
    one, many, loop = jax.jit(jax.vmap(slopes, (None, 0)))(params, batch)
    half, whole, none = (jax.vmap(by_hand, (None, 0, None))(params, batch, a) for a in (0.5, 1.0, 0.0))
    close(one, whole)
    close(many, jnp.stack([whole, none], 1))
    close(loop, half + whole)


def test_parameters_can_be_differentiated_through_both_halves():
    f, params = model("plain")

    def loss(params):
        h, tail = at_layer(f, "conv1")(params, OBS)
        return tail(h).value

    close(jax.grad(loss)(params), jax.grad(lambda p: f(p, OBS).value)(params))


def test_guided_strictly_above_the_layer():
    f, params = model("plain")
    h, tail = at_layer(guided(f), "conv1")(params, OBS)
    got = jax.grad(lambda h: tail(h).value)(h)
    g = params["value"] * (activations(f)(params, OBS)[1]["fc"] > 0).astype(jnp.float32)
    close(got, (params["fc"] @ jnp.maximum(g, 0)).reshape(h.shape))
    h, plain_tail = at_layer(f, "conv1")(params, OBS)
    assert relu_count(plain_tail)(h) == 1
    close(jax.grad(lambda h: guided(plain_tail)(h).value)(h), got)


# ------------------------------------------------------------------------------------------------------- inside a scan


def recurrent(w, xs, *rest):
    """xs[T 3]; features of each step, a steady part, and two states, one of which hangs on the tag."""

    def step(c, x):
        features = jnp.tanh(x * 2)
        h = tag(jnp.sin(c[0] + features), "h")
        beside = jnp.cos(features @ jnp.exp(w))
        return (jnp.tanh(w.T @ c[0] + h * beside), c[1] + features), (h * 2, c[1], features)

    return jax.lax.scan(step, (jnp.zeros_like(xs[0]), jnp.zeros_like(xs[0])), xs)


W, XS = jax.random.normal(jax.random.key(0), (3, 3)), jax.random.normal(jax.random.key(1), (7, 3))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.checkpoint])
def test_scan_halves(wrap):
    f = wrap(recurrent)
    h, tail = at_layer(f, "h")(W, XS)
    assert h.shape == (7, 3)
    close(h, activations(f)(W, XS)[1]["h"])
    close(tail(h), f(W, XS))


def test_scan_feeds_step_t_with_h_t():
    h, tail = at_layer(recurrent, "h")(W, XS)
    out = tail(jnp.arange(21.0).reshape(7, 3))
    close(out[1][0], 2 * jnp.arange(21.0).reshape(7, 3))
    state = jnp.zeros(3)
    for t, x in enumerate(XS):
        state = jnp.tanh(W.T @ state + jnp.arange(3.0 * t, 3 * t + 3) * jnp.cos(jnp.tanh(x * 2) @ jnp.exp(W)))
    close(out[0][0], state)
    assert jnp.abs(jax.grad(lambda h: tail(h)[0][0].sum())(h)).min() > 0  # every step reaches the end


def test_scan_tail_holds_only_what_hangs_on_the_layer():
    h, tail = at_layer(recurrent, "h")(W, XS)
    inside = primitives(tail, h)
    assert inside.count("tanh") == 1 and inside.count("dot_general") == 1  # the state's; not the features', not beside
    assert not {"sin", "cos", "exp"} & set(inside)


def test_scan_in_reverse_and_in_a_scan():
    def f(w, xss):
        def outer(c, xs):
            def inner(c, x):
                h = tag(jnp.tanh(w @ c + x), "h")
                return h, h.sum()

            return jax.lax.scan(inner, c, xs, reverse=True)

        return jax.lax.scan(outer, jnp.ones(3), xss)

    xss = jnp.stack([XS, XS / 2])
    h, tail = at_layer(f, "h")(W, xss)
    assert h.shape == (2, 7, 3)
    close(tail(h), f(W, xss))
    close(tail(0 * h), intervene(f, {"h": lambda h: 0 * h})(W, xss))


def test_scan_without_carry_and_vmapped():
    def f(w, xs):
        return jax.lax.map(lambda x: jnp.tanh(w @ tag(jnp.sin(x), "h")), xs)

    def whole(xs):
        h, tail = at_layer(f, "h")(W, xs)
        return tail(h)

    batch = jnp.stack([XS, XS / 2])
    close(jax.jit(jax.vmap(whole))(batch), jax.vmap(f, (None, 0))(W, batch))


def test_scan_halves_inside_a_shard_map():
    def whole(w, windows):
        h, tail = at_layer(recurrent, "h")(w, windows[0])
        return jax.tree.map(lambda out: out[None], tail(h))

    mesh, spread = Mesh(np.array(jax.devices()[:2]), ("b",)), PartitionSpec("b")
    both = jax.jit(jax.shard_map(whole, mesh=mesh, in_specs=(PartitionSpec(), spread), out_specs=spread))
    windows = jnp.stack([XS, XS / 2])
    close(both(W, windows), jax.vmap(recurrent, (None, 0))(W, windows))


def test_cond_halves():
    def f(i, x):
        return jax.lax.cond(i > 0, lambda x: 2 * tag(jnp.sin(x), "h"), lambda x: 3 * tag(jnp.cos(x), "h"), x) + x

    for i in (0, 1):
        h, tail = at_layer(f, "h")(i, XS)
        close(tail(h), f(i, XS))
        close(tail(0 * h), XS)


def test_rest_passes_through():
    def f(params, obs, action, carry):
        return tag(params * obs, "h")[action] + carry

    h, tail = at_layer(f, "h")(2.0, jnp.arange(3.0), 1, 5.0)
    close(tail(h), jnp.array(7.0))


# ------------------------------------------------------------------------------------------------------------- refusals


def test_refusals():
    f, params = model("plain")
    with pytest.raises(KeyError, match=r"no tag \['conv9'\].*conv1.*fc"):
        at_layer(f, "conv9")(params, OBS)
    with pytest.raises(ValueError, match="met more than once"):
        at_layer(lambda p, x: tag(tag(x, "a"), "a"), "a")(0.0, XS)
    with pytest.raises(ValueError, match="while_loop"):
        at_layer(lambda p, x: jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: tag(x + 1, "a"), x), "a")(0.0, XS)
    with pytest.raises(ValueError, match="branches of a cond"):
        at_layer(lambda p, x: jax.lax.cond(x.sum() > 0, lambda x: tag(x, "a"), lambda x: x, x), "a")(0.0, XS)
    fenced = jax.custom_jvp(lambda x: tag(x, "a"))
    fenced.defjvp(lambda x, t: (x[0], t[0]))
    with pytest.raises(NotImplementedError, match="custom_jvp_call"):
        at_layer(lambda p, x: fenced(x), "a")(0.0, XS)


def test_the_tail_takes_the_layer_and_nothing_else():
    f, params = model("plain")
    h, tail = at_layer(f, "fc")(params, OBS)
    with pytest.raises(ValueError, match=r"'fc' as float32\[6\], got float32\[3\]"):
        tail(h[:3])
    with pytest.raises(ValueError, match=r"got bfloat16\[6\]"):
        tail(h.astype(jnp.bfloat16))


def test_with_the_other_transforms():
    f, params = model("linen")
    g = intervene(guided(jax.jit(f)), {"fc": lambda h: h + 1})
    h, tail = at_layer(g, "conv1")(params, OBS)
    close(tail(h), g(params, OBS))
    assert set(tags(tail)(h)) == {"conv1", "fc"}
    close(activations(tail, ["fc"])(h)[1]["fc"], activations(g, ["fc"])(params, OBS)[1]["fc"])
    z, end = linear_prefix(lambda _, h: tail(h))(None, h)
    close(end(z), g(params, OBS))
    assert [v.shape for v in z] == [(6,)]
    np.testing.assert_array_equal(jax.tree.leaves(jax.jit(tail)(h))[0].shape, ())
