"""The rules of LRP as transforms; their values layer by layer stand in tests/explain/test_lrp.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rljax_viz.transforms import epsilon_rule, z_plus_rule
from tests.transforms.tiny import LIBRARIES, OBS, close, model


@pytest.mark.parametrize("library", LIBRARIES)
def test_values_stay_in_every_library(library):
    f, params = model(library)
    for ruled in (epsilon_rule(f, 0.1), z_plus_rule(f)):
        close(jax.jit(ruled)(params, OBS), f(params, OBS))


def test_epsilon_zero_is_the_gradient():
    f, params = model("plain")
    slopes = [jax.grad(lambda o, g=g: g(params, o).value)(OBS) for g in (epsilon_rule(f, 0.0), f)]
    close(*slopes)


W = jnp.array([[1.0, -2.0], [0.5, 1.0]])
X = jnp.array([3.0, 1.0])


def by_hand(x, w, bias):
    """One layer, its outputs summed: relevance of the outputs shared out by positive weights."""
    a = np.maximum(x @ w + bias, 0)
    positive = np.maximum(w, 0)
    return x * (positive @ (a / (x @ positive)))


@pytest.mark.parametrize("bias", [0.0, 1.5])
@pytest.mark.parametrize("where", ["plain", "jit", "scan", "remat"])
def test_z_plus_wherever_the_layer_stands(where, bias):
    def layer(x):
        return jax.nn.relu(x @ W + bias)

    f = {
        "plain": layer,
        "jit": jax.jit(layer),
        "scan": lambda x: lax.scan(lambda h, _: (layer(h), None), x, length=1)[0],
        "remat": jax.checkpoint(layer),
    }[where]
    slope = jax.jit(jax.grad(lambda x: z_plus_rule(f)(x).sum()))(X)
    np.testing.assert_allclose(X * slope, by_hand(np.asarray(X), np.asarray(W), bias), rtol=1e-5)


def test_a_head_keeps_its_gradient():
    def f(x):
        return (jax.nn.relu(x @ W) @ jnp.array([2.0, -1.0])).sum()

    hidden = np.maximum(np.asarray(X @ W), 0)
    want = np.asarray(X) * (np.maximum(W, 0) @ (hidden * np.array([2.0, -1.0]) / (np.asarray(X) @ np.maximum(W, 0))))
    np.testing.assert_allclose(X * jax.grad(z_plus_rule(f))(X), want, rtol=1e-5)


def test_nothing_to_share_is_an_error():
    with pytest.raises(ValueError, match="no layer with a ReLU"):
        z_plus_rule(lambda x: jax.nn.relu(x))(X)
    with pytest.raises(ValueError, match="no ReLU"):
        epsilon_rule(jnp.sin, 0.1)(X)
