"""Guided backpropagation and deconvnet: the rule, what is recognised, and what is refused."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rljax_viz.transforms import deconv, guided, relu_count
from tests.transforms.tiny import OBS, close, model, plain

X, G = np.array([-2.0, -1.0, 1.0, 2.0], np.float32), np.array([3.0, -3.0, 3.0, -3.0], np.float32)
FORMS = {
    "jax.nn": jax.nn.relu,
    "linen": nn.relu,
    "nnx": nnx.relu,
    "maximum": lambda x: jnp.maximum(x, 0),
    "maximum, zero first": lambda x: jnp.maximum(0.0, x),
    "jit": jax.jit(lambda x: jnp.maximum(x, 0.0)),
    "remat": jax.remat(jax.nn.relu),
}
OTHERS = {
    "where": lambda x: jnp.where(x > 0, x, 0.0),
    "times": lambda x: x * (x > 0).astype(x.dtype),
    "zeros_like": lambda x: jnp.maximum(x, jnp.zeros_like(x)),
    "leaky": jax.nn.leaky_relu,
    "gelu": jax.nn.gelu,
    "relu6": jax.nn.relu6,
    "softplus": jax.nn.softplus,
    "another floor": lambda x: jnp.maximum(x, 1.0),
}


def backward(f, x=X, g=G):
    return jax.vjp(f, jnp.asarray(x))[1](jnp.asarray(g))[0]


@pytest.mark.parametrize("relu", FORMS.values(), ids=FORMS)
def test_the_rules(relu):
    close(backward(guided(relu)), G * (G > 0) * (X > 0))
    close(backward(deconv(relu)), G * (G > 0))
    assert relu_count(relu)(X) == 1


@pytest.mark.parametrize("transform", [guided, deconv])
def test_bfloat16(transform):
    x, g = jnp.asarray(X, jnp.bfloat16), jnp.asarray(G, jnp.bfloat16)
    back = backward(transform(jax.nn.relu), x, g)
    assert back.dtype == jnp.bfloat16
    close(back, backward(transform(jax.nn.relu)))


@pytest.mark.parametrize("relu", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("transform", [guided, deconv])
def test_what_is_not_recognised_is_refused(relu, transform):
    assert relu_count(relu)(X) == 0
    with pytest.raises(ValueError, match=r"no ReLU in this function.*grad\(guided\(f\)\)"):
        transform(relu)(jnp.asarray(X))


def test_integers_are_no_relu():
    assert relu_count(lambda i: jnp.maximum(i, 0))(3) == 0


def test_the_value_is_the_same_bit_for_bit():
    f, params = model("linen")
    for transform in (guided, deconv):
        for a, b in zip(*map(jax.tree.leaves, (jax.jit(transform(f))(params, OBS), jax.jit(f)(params, OBS))), strict=True):
            np.testing.assert_array_equal(a, b)


def hand_written(rule):
    @jax.custom_vjp
    def relu(x):
        return jnp.maximum(x, 0)

    relu.defvjp(lambda x: (jnp.maximum(x, 0), x), lambda x, g: (rule(x, g),))
    return functools.partial(plain, relu=relu)


@pytest.mark.parametrize(
    ("transform", "rule"),
    [
        (guided, lambda x, g: jnp.where((x > 0) & (g > 0), g, 0)),
        (deconv, lambda x, g: jnp.where(g > 0, g, 0)),
    ],
)
def test_a_network_against_one_written_by_hand(transform, rule):
    f, params = model("plain")
    maps = [jax.jit(jax.grad(lambda o, f=f: f(params, o).value))(OBS) for f in (transform(f), hand_written(rule), f)]
    close(maps[0], maps[1])
    assert not np.allclose(maps[0], maps[2])


def test_a_relu_in_a_scan_counts_once_and_is_replaced_at_each_step():
    def f(xs):
        return jax.lax.scan(lambda c, x: (c, jax.nn.relu(x)), 0.0, xs)[1]

    assert relu_count(f)(X) == 1
    close(backward(guided(f)), G * (G > 0) * (X > 0))


DERIVATIVES = {
    "grad": jax.grad,
    "jit grad": lambda f: jax.jit(jax.grad(f)),
    "grad jit": lambda f: jax.grad(jax.jit(f)),
    "value_and_grad": jax.value_and_grad,
    "jacfwd": jax.jacfwd,
    "grad remat": lambda f: jax.grad(jax.remat(f)),
    "vmap grad": lambda f: lambda x: jax.vmap(jax.grad(f))(jnp.stack([x, x])),
    "linear part": lambda f: jax.linearize(f, jnp.asarray(X))[1],
    "scan": lambda f: lambda x: jax.lax.scan(lambda c, _: (jax.grad(f)(c), None), x, length=2)[0],
}


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
@pytest.mark.parametrize("relu", ["jax.nn", "maximum", "maximum, zero first", "jit"])
def test_guided_of_a_gradient_is_refused(derivative, relu):
    differentiated = derivative(lambda x: -FORMS[relu](2 * FORMS[relu](x)).sum())
    for transform in (guided, deconv):
        with pytest.raises(ValueError, match=r"differentiated already|no ReLU") as error:
            transform(differentiated)(jnp.asarray(X))
        assert "grad(guided(f))" in str(error.value)


AROUND = {
    "grad": jax.grad,
    "grad twice": lambda f: jax.grad(lambda x: jax.grad(f)(x).sum()),
    "grad jit": lambda f: jax.grad(jax.jit(f)),
    "jit grad": lambda f: jax.jit(jax.grad(f)),
    "grad remat": lambda f: jax.grad(jax.remat(f)),
    "jacrev": jax.jacrev,
    "vmap grad": lambda f: lambda x: jax.vmap(jax.grad(f))(x[None])[0],
    "scan": lambda f: lambda x: jax.lax.scan(lambda c, _: (jax.grad(f)(x), None), x, length=2)[0],
}


@pytest.mark.parametrize("around", AROUND)
def test_a_gradient_of_guided_is_not_refused(around):
    back = AROUND[around](lambda x: (guided(jax.nn.relu)(x) * G).sum())(jnp.asarray(X))
    if around != "grad twice":
        close(back, G * (G > 0) * (X > 0))


def test_a_network_that_differentiates_something_else_inside_is_not_refused():
    def f(x):  # the inner gradient has no ReLU
        return jax.nn.relu(jax.grad(lambda y: (y**2).sum())(x))

    close(backward(guided(f)), 2 * G * (G > 0) * (X > 0))


def test_forward_mode_says_that_guided_has_none():
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jacfwd(guided(jax.nn.relu))(jnp.asarray(X))
