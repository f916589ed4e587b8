import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import input_x_gradient, layer_integrated_gradients, scores
from rljax_viz.transforms import tag
from tests import oracles
from tests.explain import tiny


@pytest.mark.parametrize("layer", tiny.LAYERS)
@pytest.mark.parametrize("steps", [1, 10])
def test_equals_the_hand_written_backward_pass(layer, steps):
    obs = oracles.frame()
    reference = oracles.layer_integrated_gradients(oracles.weights(), obs, "logit:1", layer, steps)
    explain = layer_integrated_gradients(tiny.f, scores.logit(1), layer, steps)
    tiny.close(jax.jit(explain)(tiny.params(), jnp.asarray(obs)), reference)


def test_ten_steps_unless_told():
    obs, p = jnp.asarray(oracles.frame()), tiny.params()
    default, ten = (layer_integrated_gradients(tiny.f, scores.value, "conv2", *s)(p, obs) for s in ((), (10,)))
    np.testing.assert_array_equal(default, ten)


def test_right_riemann_sum_by_hand():
    # h^2 at h = 3 with n = 4 steps: 3 * mean(2 * 3 * k/4) = 9 * (1 + 2 + 3 + 4) / 4 * 2 / 4 = 11.25, not 9.
    def f(params, obs):
        return tag(obs * params, "h") ** 2

    map = layer_integrated_gradients(f, lambda out: out[0], "h", 4)(jnp.float32(1), jnp.array([3.0]))
    np.testing.assert_allclose(map, [11.25], rtol=1e-6)


def test_completeness_from_the_zero_activation():
    obs, p = jnp.asarray(oracles.frame(1)), tiny.params()
    for layer in tiny.LAYERS:
        map = jax.jit(layer_integrated_gradients(tiny.f, scores.value, layer, 400))(p, obs)
        silent = oracles.forward(oracles.weights(), None, {layer: np.zeros(map.shape)})["value"]
        np.testing.assert_allclose(
            map.sum(), tiny.f(p, obs).value - silent, atol=0.01 * float(jnp.abs(map).sum()), err_msg=layer)


def test_one_step_is_activation_times_gradient():
    def f(params, obs):
        return (jax.nn.relu(tag(obs, "h") @ params) ** 2).sum()

    w = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
    obs = jnp.arange(5.0)
    one = layer_integrated_gradients(f, lambda out: out, "h", 1)(w, obs)
    np.testing.assert_allclose(one, input_x_gradient(f, lambda out: out)(w, obs), rtol=1e-5)


def test_the_layers_below_run_once():
    runs = []

    def counted(x):
        runs.append(1)
        return np.asarray(x)

    def f(params, obs):
        h = tag(jax.pure_callback(counted, jax.ShapeDtypeStruct(obs.shape, obs.dtype), obs), "h")
        return jnp.tanh(h * params).sum()

    map = jax.jit(layer_integrated_gradients(f, lambda out: out, "h", 25))(jnp.float32(1), jnp.ones(3))
    jax.block_until_ready(map)
    assert len(runs) == 1


def test_refusals():
    obs, p = jnp.asarray(oracles.frame()), tiny.params()
    with pytest.raises(KeyError, match="conv1"):
        layer_integrated_gradients(tiny.f, scores.value, "conv9")(p, obs)
    with pytest.raises(ValueError, match="whole number of steps"):
        layer_integrated_gradients(tiny.f, scores.value, "conv1", 0)
    with pytest.raises(ValueError, match="ONE floating number"):
        layer_integrated_gradients(tiny.f, lambda out: out.logits, "conv1")(p, obs)
