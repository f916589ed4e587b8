"""The attention map against squares that are drawn one by one, and the numbers of every network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.explain import attention_map
from rljax_viz.networks import ATTENTION, Output
from rljax_viz.transforms import tag

RNG = np.random.default_rng(0)


def f_of(**layers):
    """A network of nothing but attention layers."""

    def f(params, obs):
        total = sum(tag(jnp.asarray(h, jnp.float32) * params, name).sum() for name, h in layers.items())
        return Output(value=total)

    return f


def drawn(h, field, stride, padding, size):
    map = np.zeros((size[0] + 2 * padding, size[1] + 2 * padding))
    for y in range(h.shape[0]):
        for x in range(h.shape[1]):
            map[y * stride : y * stride + field, x * stride : x * stride + field] += h[y, x]
    return map[padding : padding + size[0], padding : padding + size[1]]


OBS = jnp.zeros((84, 84, 4), jnp.uint8)


@pytest.mark.parametrize(
    ("h", "numbers", "size"),
    [
        ((7, 7), (36, 8, 0), (84, 84)),
        ((20, 20), (8, 4, 0), (84, 84)),
        ((84, 84), (13, 1, 6), (84, 84)),
        ((3, 5), (6, 3, 1), (10, 16)),
    ],
)
def test_squares_add_up(h, numbers, size):
    values = RNG.random(h)
    explain = attention_map(f_of(attention=values), "attention", *numbers, size=size)
    got = jax.jit(explain)(jnp.float32(1), OBS)
    assert got.dtype == jnp.float32 and got.shape == size
    np.testing.assert_allclose(got, drawn(values, *numbers, size), rtol=1e-4)
    maps = jax.vmap(explain, (0, None))(jnp.array([1.0, 2.0]), OBS)
    np.testing.assert_allclose(maps[1], 2 * maps[0], rtol=1e-5)


def test_below_zero_there_is_nothing():
    values = RNG.normal(size=(7, 7))
    got = attention_map(f_of(attention=values))(jnp.float32(1), OBS)
    want = drawn(values, 36, 8, 0, (84, 84))
    np.testing.assert_allclose(got, np.maximum(want, 0), atol=1e-4)
    assert (want < -1).any() and got.min() == 0


def test_layers_meet_on_the_grid_of_the_first():
    one, two, three = RNG.random((20, 20)), RNG.random((9, 9)), RNG.random((7, 7))
    explain = attention_map(f_of(attention1=one, attention2=two, attention3=three), **ATTENTION["sparse-fls-each-conv"])
    grid = one + drawn(two, 4, 2, 0, (20, 20)) + drawn(three, 8, 2, 0, (20, 20))
    np.testing.assert_allclose(explain(jnp.float32(1), OBS), drawn(grid, 8, 4, 0, (84, 84)), rtol=1e-4)


@pytest.mark.parametrize("name", ATTENTION)
def test_every_network_that_attends_has_its_numbers(name):
    net = networks.make(name, 4)
    params = jax.eval_shape(net.init, jax.random.key(0), OBS)
    explain = attention_map(net.apply, **ATTENTION[name])
    assert jax.eval_shape(explain, params, OBS).shape == (84, 84)
    if not name.startswith("dense"):  # a place that is looked at lies where its pixel in the last convolution sees
        weights = jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(0, 0.05, leaf.shape), jnp.float32), params)
        map = explain(weights, jnp.asarray(RNG.integers(0, 256, (84, 84, 4)), jnp.uint8))
        assert map.min() >= 0 and map.max() > 0


def test_every_attending_network_is_named():
    makes = {name for name in networks.NAMES if "attention" in str(_heads(name))}
    assert makes == set(ATTENTION)


def _heads(name):
    net = networks.make(name, 4)
    shape = {"coinrun": (64, 64, 3), "minatar-split-attention": (10, 10, 40)}.get(name, (84, 84, 4))
    obs = jnp.zeros(shape, jnp.uint8)
    out = jax.eval_shape(net.init_with_output, jax.random.key(0), obs)[0]
    return [field for field, value in out._asdict().items() if value is not None]


def test_refusals():
    f = f_of(attention=RNG.random((7, 7)), conv=RNG.random((7, 7, 3)))
    with pytest.raises(
        ValueError, match=r"'attention' of \[7, 7\] drawn with receptive field 36, stride 4, .* is \[60, 60\], not"
    ):
        attention_map(f, stride=4)(jnp.float32(1), OBS)
    with pytest.raises(ValueError, match=r"'conv' is \[7, 7, 3\], an attention layer is \[h w\]"):
        attention_map(f, "conv")(jnp.float32(1), OBS)
    with pytest.raises(KeyError, match="attenton"):
        attention_map(f, "attenton")(jnp.float32(1), OBS)
    with pytest.raises(ValueError, match="one receptive field, stride and padding for each"):
        attention_map(f, ("attention", "conv"), receptive_field=(8, 4, 2))
