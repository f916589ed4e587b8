import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import g1_grad_cam, grad_cam, scores
from rljax_viz.transforms import tag
from tests import oracles
from tests.explain import tiny

RULES = {grad_cam: "plain", g1_grad_cam: "guided"}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_equals_the_hand_written_backward_pass(method, layer):
    shown = 0
    for seed, target in enumerate(["value", "logit:1", "logit:3"]):
        obs = oracles.frame(seed)
        reference = oracles.grad_cam(oracles.weights(), obs, target, layer, RULES[method])
        map = np.asarray(jax.jit(method(tiny.f, scores.parse(target), layer))(tiny.params(), jnp.asarray(obs)))
        assert (map >= 0).all()
        if reference.max() > 0:  # a map may be rectified away as a whole
            tiny.close(map, reference)
            shown += 1
        else:
            assert map.max() == 0
    assert shown >= 2


def test_by_hand():
    # Two channels, weights +1 and -1 spread over 2 x 2 positions: alpha = (1/4, -1/4).
    h = jnp.stack([jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[4.0, 0.0], [1.0, 1.0]])], -1)

    def f(params, obs):
        return (tag(obs, "layer") * jnp.array([1.0, -1.0]).reshape(1, 1, 2)).sum() / 4 * params

    map = grad_cam(f, lambda out: out, "layer")(jnp.float32(4), h)
    np.testing.assert_allclose(map, [[0, 2], [2, 3]])


def test_the_relu_that_makes_the_layer_is_not_guided():
    def f(params, obs):
        h = tag(jax.nn.relu(obs), "layer")
        return jax.nn.relu(params - h.sum((0, 1))).sum() + 5 * h[0, 0, 1]

    obs, ten = jnp.ones((2, 2, 2)), jnp.float32(10)
    # Weights -1 and -1 + 5/4: rectified away. Guided at the layer's own ReLU too, they would be 0 and 1 (FACTS R9).
    for method in RULES:
        np.testing.assert_array_equal(method(f, lambda out: out, "layer")(ten, obs), jnp.zeros((2, 2)))
    # Of -f they are 1 and 1 - 5/4; the ReLU ABOVE the layer gets -1 and, guided, sends nothing back: 0 and -5/4.
    plain, guided = (m(f, lambda out: -out, "layer")(ten, obs) for m in RULES)
    np.testing.assert_allclose(plain, jnp.full((2, 2), 0.75))
    np.testing.assert_array_equal(guided, jnp.zeros((2, 2)))


def test_is_linear_in_the_score_and_not_divided():
    obs, p = jnp.asarray(oracles.frame(1)), tiny.params()
    once = grad_cam(tiny.f, scores.value, "conv1")(p, obs)
    np.testing.assert_allclose(
        grad_cam(tiny.f, lambda out: 7 * out.value, "conv1")(p, obs), 7 * np.asarray(once), rtol=1e-5)


@pytest.mark.parametrize("method", RULES)
def test_refusals(method):
    obs, p = jnp.asarray(oracles.frame()), tiny.params()
    with pytest.raises(KeyError, match="conv1"):  # says what there is
        method(tiny.f, scores.value, "conv9")(p, obs)
    with pytest.raises(ValueError, match=r"layer \[h w c\], but 'fc' has shape \(16,\)"):
        method(tiny.f, scores.value, "fc")(p, obs)
    with pytest.raises(ValueError, match="ONE floating number"):
        method(tiny.f, lambda out: out.logits, "conv1")(p, obs)


def test_g1_refuses_a_function_without_relus():
    with pytest.raises(ValueError, match="no ReLU"):
        explain = g1_grad_cam(lambda params, obs: tag(jnp.tanh(obs), "layer").sum(), lambda out: out, "layer")
        explain(None, jnp.ones((2, 2, 1)))
