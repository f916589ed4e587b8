import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.explain import gradient, guided_backprop, perturbation, scores
from rljax_viz.transforms import fast_convs, fuse, native
from rljax_viz.transforms.conv_forms import Conv

pytestmark = pytest.mark.skipif(bool(native.why_not()), reason="needs the extra native")


def rng(seed=0):
    return np.random.default_rng(seed)


def fused_calls(f, *args):
    """Names of the calls of oneDNN in the program of `f`."""
    return str(jax.make_jaxpr(f)(*args)).count("_relu\n") + str(jax.make_jaxpr(f)(*args)).count("_relu ")


def layer(params, x):
    """conv -> bias -> ReLU of ONE [H W C], as linen writes it."""
    y = jax.lax.conv_general_dilated(x[None], params["w"], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jax.nn.relu(y + params["b"].reshape(1, 1, 1, -1))[0]


def weights(k=3, c=8, o=16):
    return {
        "w": jnp.asarray(rng(1).normal(size=(k, k, c, o)), jnp.float32),
        "b": jnp.asarray(rng(2).normal(size=o), jnp.float32),
    }


def by_hand(params, x, stride=2):
    """numpy: x[n H W C] -> max(0, sum over the window + b), float64."""
    w, b = (np.asarray(params[k], np.float64) for k in "wb")
    k = w.shape[0]
    size = (x.shape[1] - k) // stride + 1
    out = np.zeros((len(x), size, size, w.shape[3]))
    for i in range(size):
        for j in range(size):
            window = x[:, i * stride : i * stride + k, j * stride : j * stride + k].astype(np.float64)
            out[:, i, j] = np.tensordot(window, w, 3) + b
    return np.maximum(out, 0)


def test_equals_numpy_and_is_one_call():
    params, x = weights(), rng().normal(size=(5, 33, 33, 8)).astype(np.float32)
    plain = jax.vmap(fast_convs(layer), (None, 0))
    assert fused_calls(plain, params, x) == 0
    assert fused_calls(fuse(plain), params, x) == 1
    out = jax.jit(fuse(plain))(params, x)
    np.testing.assert_allclose(out, by_hand(params, x), atol=2e-6 * float(out.max()))


def test_the_gradient_asks_the_output_whether_its_input_was_positive():
    params, x = weights(), rng().normal(size=(5, 33, 33, 8)).astype(np.float32)

    def slope(x):
        return jax.vmap(jax.grad(lambda x: (fast_convs(layer)(params, x) ** 2).sum()))(x)

    assert fused_calls(fuse(slope), x) == 1
    np.testing.assert_array_equal(jax.jit(fuse(slope))(x), jax.jit(slope)(x))


@pytest.mark.parametrize("what", ["sum of the inputs", "another function", "no bias", "bias of places", "the result"])
def test_what_is_looked_at_in_between_stays(what):
    params, x = weights(), rng().normal(size=(2, 33, 33, 8)).astype(np.float32)

    def conv(x):
        return jax.lax.conv_general_dilated(x, params["w"], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def f(x):
        y = conv(x)
        before = y + params["b"].reshape(1, 1, 1, -1)
        return {
            "sum of the inputs": lambda: jax.nn.relu(before) + before.sum(),
            "another function": lambda: jnp.tanh(before),
            "no bias": lambda: jax.nn.relu(y),
            "bias of places": lambda: jax.nn.relu(y + y[:1, :, :, :1]),
            "the result": lambda: (jax.nn.relu(before), before),
        }[what]()

    fast = fast_convs(f)
    assert fused_calls(fuse(fast), x) == 0
    jax.tree.map(np.testing.assert_array_equal, jax.jit(fuse(fast))(x), jax.jit(fast)(x))


def test_negative_zero_and_not_finite_are_kept():
    params = {"w": jnp.ones((3, 3, 8, 16)), "b": jnp.zeros(16)}
    x = np.zeros((3, 33, 33, 8), np.float32)
    x[1, 5, 5, 0], x[2, 5, 5, 0] = np.inf, np.nan
    plain = jax.vmap(fast_convs(layer), (None, 0))
    out, reference = jax.jit(fuse(plain))(params, x), jax.jit(plain)(params, x)
    assert np.isinf(out[1]).any()
    np.testing.assert_array_equal(np.isfinite(out[:2]), np.isfinite(reference[:2]))


@pytest.mark.parametrize("method", [gradient, guided_backprop])
def test_methods_of_a_network_are_the_same(method):
    net = networks.make("nature", 4)
    x = rng().integers(0, 256, (3, 84, 84, 4), np.uint8)
    params = net.init(jax.random.key(0), x[0])
    maps = jax.vmap(method(fast_convs(net.apply), scores.value), (None, 0))
    assert fused_calls(fuse(maps), params, x) == 4
    np.testing.assert_allclose(jax.jit(fuse(maps))(params, x), jax.jit(maps)(params, x), atol=1e-9)


def test_inside_a_scan():
    net = networks.make("nature", 4)
    x = rng().integers(0, 256, (1, 84, 84, 4), np.uint8)
    params = net.init(jax.random.key(0), x[0])
    maps = jax.vmap(perturbation(fast_convs(net.apply), lambda out: out.value, stride=42), (None, 0))
    assert fused_calls(fuse(maps), params, x) >= 7  # of the clean frame, and of the altered ones
    ours, reference = (np.asarray(jax.jit(f)(params, x)) for f in (fuse(maps), maps))
    np.testing.assert_allclose(ours, reference, atol=1e-4 * reference.max())


def test_half_precision_is_rounded_once():
    if not native.has_amx():
        pytest.skip("needs AMX")
    x = jnp.asarray(rng().normal(size=(4, 9, 9, 64)), jnp.bfloat16)
    w, b = (jnp.asarray(rng(3).normal(size=s), jnp.bfloat16) for s in ((3, 3, 64, 64), (64,)))
    exact = by_hand({"w": w.astype(jnp.float32), "b": b.astype(jnp.float32)}, np.asarray(x, np.float32), 1)
    ours = np.asarray(jax.jit(lambda: native.convolve_relu(x, w, b, Conv()))(), np.float64)
    np.testing.assert_allclose(ours, exact, rtol=2.0**-8, atol=1e-3)


def test_a_dense_layer_of_one_pixel():
    x, w, b = (jnp.asarray(rng(i).normal(size=s), jnp.float32) for i, s in enumerate([(6, 1, 1, 40), (1, 1, 40, 24), (24,)]))
    ours = jax.jit(lambda: native.convolve_relu(x, w, b, Conv()))()
    exact = np.maximum(np.asarray(x, np.float64)[:, 0, 0] @ np.asarray(w, np.float64)[0, 0] + np.asarray(b, np.float64), 0)
    np.testing.assert_allclose(ours[:, 0, 0], exact, atol=1e-5)
