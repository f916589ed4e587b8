"""The slope by a whole channel equals the sum over places of the plain gradient, whatever reads the layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rljax_viz.transforms import Rule, at_layer, bind, channel_slope, fast_convs, guided, rewrite, tag
from tests.transforms.tiny import LIBRARIES, OBS, close, model

H = jax.random.normal(jax.random.key(0), (9, 8, 3))
W = jax.random.normal(jax.random.key(1), (3, 2, 3, 5)) / 4


def convolved(h, w=W, strides=(1, 1), padding="VALID", **options):
    numbers = options.pop("dimension_numbers", ("NHWC", "HWIO", "NHWC"))
    return lax.conv_general_dilated(h[None], w, strides, padding, dimension_numbers=numbers, **options)[0]


def rest(y):
    """A scalar whose slope by `y` is another at every place."""
    weights = jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
    return (jax.nn.relu(y) * weights).sum() + (y**2).sum() / 7


def convs_in(program):
    return program.as_text().count("stablehlo.convolution")


# name -> (function, how many convolutions its slope computes)
FUNCTIONS = {
    "valid": (lambda h: rest(convolved(h)), 1),
    "same": (lambda h: rest(convolved(h, padding="SAME")), 1),
    "strided": (lambda h: rest(convolved(h, strides=(2, 3), padding=((2, 0), (1, 3)))), 1),
    "dilated": (lambda h: rest(convolved(h, padding="SAME", rhs_dilation=(2, 2))), 1),
    "cropped": (lambda h: rest(convolved(h, padding=((-1, 0), (1, -2)))), 1),
    "channels first": (
        lambda h: rest(convolved(h.transpose(2, 0, 1), W.transpose(3, 2, 0, 1), dimension_numbers=("NCHW", "OIHW", "NCHW"))),
        1,
    ),
    "two consumers": (lambda h: rest(convolved(h, padding="SAME")) * rest(convolved(h, 2 * W)), 2),
    "conv and skip": (lambda h: rest(convolved(h, padding="SAME")[..., :3] + h), 1),
    "dense": (lambda h: rest(h.reshape(-1) @ jnp.cos(jnp.arange(216.0 * 4)).reshape(216, 4)), 0),
    "nothing": (lambda h: h[0, 0, 0] ** 2, 0),
    "under jit": (jax.jit(lambda h: rest(jax.jit(convolved)(jax.nn.relu(h) * 0 + h))), 2),  # not the layer itself
    "grouped": (lambda h: rest(convolved(h, W[:, :, :1, :3], feature_group_count=3)), 2),
    "height as channels": (lambda h: rest(convolved(h.transpose(1, 2, 0), jnp.ones((2, 2, 9, 4)))), 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_the_sum_of_the_gradient(name):
    f, convs = FUNCTIONS[name]
    slope = jax.jit(channel_slope(f))
    close(slope(H), jax.jit(jax.grad(f))(H).sum((0, 1)))
    assert convs_in(slope.lower(H)) == convs


WRAPS = [lambda f: f, guided, lambda f: fast_convs(f, form="rows"), fast_convs, jax.checkpoint]


@pytest.mark.parametrize(("library", "wrap"), list(zip(LIBRARIES, WRAPS, strict=True)))
def test_above_a_layer_of_every_library(library, wrap):
    f, params = model(library)

    def deeper(params, obs):
        h = tag(jnp.tanh(obs), "below")
        return f(params, h)

    def value(h):
        return tail(h).value

    h, tail = at_layer(wrap(deeper), "below")(params, OBS)
    close(jax.jit(channel_slope(value))(h), jax.jit(jax.grad(value))(h).sum((0, 1)))


def test_forms_of_our_own_need_no_gradient_by_their_input():
    """`planned_conv` too: of a function in fast forms only the forward convolution is left."""
    w = jax.random.normal(jax.random.key(3), (3, 3, 3, 64))
    h = jax.random.normal(jax.random.key(4), (40, 40, 3))
    f = fast_convs(lambda h: rest(convolved(h, w, padding="SAME")))
    close(channel_slope(f)(h), jax.grad(f)(h).sum((0, 1)), 1e-4)
    roles = []

    def look(eqn, inputs):
        roles.append(eqn.params["role"])
        return bind(eqn, inputs)

    rewrite(channel_slope(f), Rule(lambda eqn: eqn.primitive.name == "planned_conv", look))(h)
    assert roles == ["result"]


def test_batches_and_higher_derivatives():
    f = FUNCTIONS["same"][0]
    batch = jnp.stack([H, 2 - H, H * H])
    plain = jax.vmap(lambda h: jax.grad(f)(h).sum((0, 1)))
    close(jax.jit(jax.vmap(channel_slope(f)))(batch), plain(batch))

    def by_kernel(w, slope):
        return slope(lambda h: rest(convolved(h, w)))(H).sum()

    ours = jax.grad(lambda w: by_kernel(w, channel_slope))(W)
    theirs = jax.grad(lambda w: by_kernel(w, lambda f: lambda h: jax.grad(f)(h).sum((0, 1))))(W)
    close(ours, theirs)
    ours = jax.jvp(lambda w: by_kernel(w, channel_slope), (W,), (W,))[1]
    np.testing.assert_allclose(ours, (theirs * W).sum(), rtol=1e-4)


def test_half_precision_is_summed_in_float32():
    half = H.astype(jnp.bfloat16)

    def f(h):  # linear, so that only the cotangents are rounded
        y = convolved(h, W.astype(h.dtype), padding="SAME").astype(jnp.float32)
        return (y * (1 + jnp.arange(5.0))[None, None]).sum()

    got = channel_slope(f)(half)
    assert got.dtype == jnp.float32
    close(got, jax.grad(f)(half.astype(jnp.float32)).sum((0, 1)), 0.01)


def test_refuses_what_has_no_places():
    with pytest.raises(ValueError, match=r"needs a layer \[h w c\], got shape \(4,\)"):
        channel_slope(jnp.sum)(jnp.ones(4))
