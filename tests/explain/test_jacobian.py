import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import gradient, input_x_gradient, integrated_gradients, jacobian, on_layer, scores
from tests import oracles
from tests.explain import tiny

OBS = jnp.asarray(oracles.frame(1))


def test_rows_are_the_gradients_of_the_outputs():
    maps = jax.jit(jacobian(tiny.f, lambda out: out.logits))(tiny.params(), OBS)
    want = np.stack([oracles.gradient(oracles.weights(), np.asarray(OBS), f"logit:{a}") for a in range(4)])
    tiny.close(maps, want)


def test_any_scores_together():
    maps = jacobian(tiny.f, lambda out: jnp.stack([scores.entropy(out), out.value]))(tiny.params(), OBS)
    np.testing.assert_allclose(maps[0], gradient(tiny.f, scores.entropy)(tiny.params(), OBS), atol=1e-8)


def test_refuses_a_scalar():
    with pytest.raises(ValueError, match="one score: gradient"):
        jacobian(tiny.f, scores.value)(tiny.params(), OBS)


# ----------------------------------------------------------------------------------------------------------- on_layer


@pytest.mark.parametrize("layer", ["conv1", "conv2", "fc"])
def test_any_method_on_a_layer(layer):
    acts = oracles.forward(oracles.weights(), np.asarray(OBS))
    slope = oracles.backward(oracles.weights(), acts, "value", to=layer)
    tiny.close(on_layer(gradient, layer)(tiny.f, scores.value)(tiny.params(), OBS), slope)
    tiny.close(on_layer(input_x_gradient, layer)(tiny.f, scores.value)(tiny.params(), OBS), acts[layer] * slope)


def test_options_and_completeness_on_a_layer():
    map = on_layer(integrated_gradients, "conv1")(tiny.f, scores.value, steps=200)(tiny.params(), OBS)
    h = np.zeros_like(oracles.forward(oracles.weights(), np.asarray(OBS))["conv1"])
    silent = oracles.forward(oracles.weights(), None, {"conv1": h})["value"]
    whole = oracles.forward(oracles.weights(), np.asarray(OBS))["value"]
    np.testing.assert_allclose(map.sum(), whole - silent, rtol=2e-2)


def test_missing_layer():
    with pytest.raises(KeyError, match="conv1"):
        on_layer(gradient, "conv9")(tiny.f, scores.value)(tiny.params(), OBS)
