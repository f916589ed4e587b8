import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import input_x_gradient, lrp, scores
from rljax_viz.transforms import fast_convs
from tests import oracles
from tests.explain import tiny

STRIDES = {"conv1": 2, "conv2": 1}


def by_hand(weights, obs, target, rule, epsilon=0.0):
    """Relevance handed down layer by layer, as the paper writes it."""
    acts = oracles.forward(weights, obs)
    name, _, action = target.partition(":")
    column = int(action) if action else 0
    z = np.atleast_1d(acts["value"] if name == "value" else acts["logits"])[column]
    head = weights["value" if name == "value" else "logits"]["w"][:, column]
    relevance = acts["fc"] * head * z / (z + epsilon * np.sign(z))
    below = {"fc": "conv2", "conv2": "conv1", "conv1": None}
    for layer in ("fc", "conv2", "conv1"):
        x = np.asarray(obs, np.float64) / 255 if below[layer] is None else acts[below[layer]]
        w = weights[layer]["w"]
        if rule == "z_plus":
            w = np.maximum(w, 0)
            forward = x.reshape(-1) @ w if layer == "fc" else oracles.conv(x, w, STRIDES[layer])
        else:
            forward = acts[f"{layer}_in"]
            forward = forward + epsilon * np.sign(forward)
        share = np.divide(relevance, forward, out=np.zeros_like(relevance), where=forward != 0)
        if layer == "fc":
            relevance = (x.reshape(-1) * (w @ share)).reshape(x.shape)
        else:
            relevance = x * oracles.conv_backward(share, w, STRIDES[layer], x.shape)
    return relevance


@pytest.mark.parametrize("target", ["value", "logit:1"])
@pytest.mark.parametrize(("rule", "epsilon"), [("epsilon", 0.0), ("epsilon", 0.25), ("z_plus", 0.0)])
@pytest.mark.parametrize("fast", [False, True])
def test_equals_the_paper_layer_by_layer(target, rule, epsilon, fast):
    obs, f = oracles.frame(1), fast_convs(tiny.f) if fast else tiny.f
    map = jax.jit(lrp(f, scores.parse(target), rule, epsilon))(tiny.params(), jnp.asarray(obs))
    tiny.close(map, by_hand(oracles.weights(), obs, target, rule, epsilon), 1e-4)


@pytest.mark.parametrize("rule", ["epsilon", "z_plus"])
def test_without_biases_the_score_is_conserved(rule):
    params = {name: {"w": layer["w"], "b": 0 * layer["b"]} for name, layer in tiny.params().items()}
    obs = jnp.asarray(oracles.frame(2))
    map = lrp(tiny.f, scores.value, rule, 0.0)(params, obs)
    np.testing.assert_allclose(map.sum(), tiny.f(params, obs).value, rtol=1e-4)


def test_z_plus_is_positive_for_a_positive_score_of_positive_heads():
    params = tiny.params() | {"value": jax.tree.map(jnp.abs, tiny.params()["value"])}
    map = np.asarray(lrp(tiny.f, scores.value, "z_plus")(params, jnp.asarray(oracles.frame())))
    assert map.min() >= 0 and map.max() > 0


def test_without_epsilon_it_is_input_times_gradient():
    obs = jnp.asarray(oracles.frame(3))
    want = input_x_gradient(tiny.f, scores.value)(tiny.params(), obs)
    np.testing.assert_allclose(lrp(tiny.f, scores.value, epsilon=0.0)(tiny.params(), obs), want, atol=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match="'alpha_beta' is unknown"):
        lrp(tiny.f, scores.value, "alpha_beta")
    with pytest.raises(ValueError, match="not negative"):
        lrp(tiny.f, scores.value, epsilon=-1)
    for rule in ("epsilon", "z_plus"):
        with pytest.raises(ValueError, match="ReLU"):
            lrp(lambda p, x: x.sum(), lambda out: out, rule)(None, jnp.ones((2, 2, 1)))
