import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.transforms import fast_convs, rewrite, separable_prefix
from rljax_viz.transforms._interpret import Rule, bind

LAYOUT = ("NHWC", "HWIO", "NHWC")


def rng(seed=0):
    return np.random.default_rng(seed)


def random(*shape, seed=0):
    return jnp.asarray(rng(seed).normal(size=shape), jnp.float32)


def begins_with(kernel, strides, padding, channels=3, scale=lambda x: x / 255):
    """f(params, obs) of a convolution, a bias, a ReLU and a sum: as a network begins."""

    def f(params, obs):
        y = jax.lax.conv_general_dilated(scale(obs)[None], params["w"], strides, padding, dimension_numbers=LAYOUT)
        return (jax.nn.relu(y[0] + params["b"].reshape(1, 1, -1)) * params["v"].reshape(1, 1, -1)).sum()

    return f, {"w": random(*kernel, channels, 5, seed=1), "b": random(5, seed=2), "v": random(5, seed=3)}


def altered(obs, change, rows, columns):
    """numpy, float64: obs + sum_r rows[r] x columns[r] * change."""
    spot = sum(np.outer(a, b) for a, b in zip(np.asarray(rows, np.float64), np.asarray(columns, np.float64), strict=True))
    return np.asarray(obs, np.float64) + spot[..., None] * np.asarray(change, np.float64)


def convolutions_of_whole_frames(f, *args):
    """How often the program of `f` runs a convolution of height above 1 and width above 1."""
    seen = []

    def look(eqn, inputs):
        seen.append(min(eqn.invars[1].aval.shape[:2]) > 1)
        return bind(eqn, inputs)

    rule = Rule(lambda eqn: eqn.primitive.name in ("conv_general_dilated", "planned_conv"), look)
    jax.make_jaxpr(rewrite(f, rule))(*args)
    return sum(seen)


CASES = [
    ((8, 8), (4, 4), "VALID"), ((3, 3), (1, 1), "SAME"), ((4, 4), (2, 2), ((1, 2), (0, 3))), ((5, 3), (2, 3), "SAME"),
    ((2, 2), (4, 4), "VALID"), ((1, 1), (1, 1), "VALID"),
]  # fmt: skip


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast_convs"])
@pytest.mark.parametrize(("kernel", "strides", "padding"), CASES)
def test_equals_the_function_of_the_altered_frame(kernel, strides, padding, fast):
    (h, w, c) = (61, 67, 8) if fast else (23, 29, 3)
    f, params = begins_with(kernel, strides, padding, c)
    f = fast_convs(f) if fast else f
    obs, change = 255 * random(h, w, c), 40 * random(h, w, c, seed=5)
    rows, columns = random(2, h, seed=6), random(2, w, seed=7)
    along, tail = separable_prefix(f)(params, obs, change)
    z = along(rows)(columns)
    is_small = kernel in ((2, 2), (1, 1))  # fast_convs makes plain additions of those
    assert z.shape != obs.shape or (fast and is_small)  # the convolution's result, not the frame
    reference = f(params, jnp.asarray(altered(obs, change, rows, columns), jnp.float32))
    np.testing.assert_allclose(tail(z), reference, rtol=2e-5)


def test_many_columns_need_no_convolution_of_their_own():
    f, params = begins_with((8, 8), (4, 4), "VALID")
    obs, change, rows = random(84, 84, 3), random(84, 84, 3, seed=5), random(2, 84, seed=6)

    def many(columns):
        along, tail = separable_prefix(f)(params, obs, change)
        return jax.vmap(lambda c: tail(along(rows)(c)))(columns)

    columns = random(7, 2, 84, seed=7)
    assert convolutions_of_whole_frames(many, columns) == 1  # of the clean frame alone
    reference = [f(params, jnp.asarray(altered(obs, change, rows, c), jnp.float32)) for c in columns]
    np.testing.assert_allclose(jax.jit(many)(columns), reference, rtol=2e-5)


@pytest.mark.parametrize("name", ["nature", "minatar", "daqn", pytest.param("coinrun", marks=pytest.mark.long), "sparse-fls"])
def test_networks_that_ship_are_cut_at_their_first_convolution(name):
    shape = {"minatar": (10, 10, 4), "coinrun": (64, 64, 3)}.get(name, (84, 84, 4))
    net, obs = networks.make(name, 4), jnp.asarray(rng().integers(0, 256, shape), jnp.float32)
    params = net.init(jax.random.key(0), obs)
    rows, columns, change = random(2, shape[0], seed=6), random(2, shape[1], seed=7), random(*shape, seed=5)
    along, tail = separable_prefix(net.apply)(params, obs, change)
    z = along(rows)(columns)
    assert z.shape[-1] != shape[-1] or z.ndim == 4
    reference = net.apply(params, jnp.asarray(altered(obs, change, rows, columns), jnp.float32))
    ours = tail(z)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(1.0, float(jnp.abs(b).max())))


def looks_twice(params, obs):
    f, _ = begins_with((3, 3), (1, 1), "VALID")
    return f(params, obs) + obs.mean()


def shifts_first(params, obs):
    return begins_with((3, 3), (1, 1), "VALID", scale=lambda x: x - 3.0)[0](params, obs)


def squares_first(params, obs):
    return begins_with((3, 3), (1, 1), "VALID", scale=lambda x: x * x)[0](params, obs)


def weights_of_the_frame(params, obs):
    f, _ = begins_with((3, 3), (1, 1), "VALID")
    return f({**params, "w": params["w"] * obs.mean()}, obs)


def no_convolution(params, obs):
    return jnp.tanh(obs * 0.01).sum()


@pytest.mark.parametrize("f", [looks_twice, shifts_first, squares_first, weights_of_the_frame, no_convolution])
def test_what_does_not_begin_with_a_convolution_gets_the_altered_frame(f):
    params = begins_with((3, 3), (1, 1), "VALID")[1]
    obs, change = random(9, 11, 3), random(9, 11, 3, seed=5)
    rows, columns = random(2, 9, seed=6), random(2, 11, seed=7)
    along, tail = separable_prefix(f)(params, obs, change)
    z = along(rows)(columns)
    np.testing.assert_allclose(z, altered(obs, change, rows, columns), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tail(z), f(params, z), rtol=1e-6)


def test_a_network_in_half_precision():
    net = networks.make("nature", 4, dtype="bfloat16")
    obs = jnp.asarray(rng().integers(0, 256, (84, 84, 4)), jnp.float32)
    params = net.init(jax.random.key(0), obs)
    rows, columns, change = random(2, 84, seed=6), random(2, 84, seed=7), 20 * random(84, 84, 4, seed=5)
    along, tail = separable_prefix(net.apply)(params, obs, change)
    z = along(rows)(columns)
    assert z.dtype == jnp.bfloat16
    exact = networks.make("nature", 4).apply(params, jnp.asarray(altered(obs, change, rows, columns), jnp.float32))
    np.testing.assert_allclose(tail(z).logits, exact.logits, atol=0.03 * float(jnp.abs(exact.logits).max()))
