"""Score-CAM, Grad-CAM++, HiResCAM, LayerCAM against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from rljax_viz.explain import grad_cam_plus_plus, hires_cam, layer_cam, score_cam, scores
from rljax_viz.transforms import tag
from tests import oracles
from tests.explain import tiny


def plus_plus(h, g):
    alpha = np.zeros_like(g)
    below = 2 * g**2 + h.sum((0, 1)) * g**3
    np.divide(g**2, below, out=alpha, where=below != 0)
    return np.maximum((h * (alpha * np.maximum(g, 0)).sum((0, 1))).sum(-1), 0)


BY_HAND = {
    grad_cam_plus_plus: plus_plus,
    hires_cam: lambda h, g: (h * g).sum(-1),
    layer_cam: lambda h, g: np.maximum((h * np.maximum(g, 0)).sum(-1), 0),
}


@pytest.mark.parametrize("method", BY_HAND)
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
@pytest.mark.parametrize("target", ["value", "logit:1"])
def test_by_slopes(method, layer, target):
    obs, weights = oracles.frame(1), oracles.weights()
    acts = oracles.forward(weights, obs)
    want = BY_HAND[method](acts[layer], oracles.backward(weights, acts, target, to=layer))
    tiny.close(jax.jit(method(tiny.f, scores.parse(target), layer))(tiny.params(), jnp.asarray(obs)), want, 1e-4)


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_score_cam(layer):
    obs, weights = oracles.frame(1), oracles.weights()
    h = oracles.forward(weights, obs)[layer]
    left = []
    for channel in np.moveaxis(h, -1, 0):
        mask = oracles.bilinear(channel, obs.shape[:2])
        spread = mask.max() - mask.min()
        mask = (mask - mask.min()) / spread if spread > 0 else np.zeros_like(mask)
        left.append(oracles.forward(weights, obs * mask[..., None])["value"])
    want = np.maximum((h * softmax(left)).sum(-1), 0)
    tiny.close(jax.jit(score_cam(tiny.f, scores.value, layer))(tiny.params(), jnp.asarray(obs)), want, 1e-4)


def test_hires_cam_sums_to_what_a_linear_rest_makes_of_the_layer():
    w = jax.random.normal(jax.random.key(0), (4, 3, 2))
    map = hires_cam(lambda w, x: (w * tag(x, "layer")).sum() + 5, lambda out: out, "layer")(w, w * 2)
    np.testing.assert_allclose(map.sum(), 2 * (w * w).sum(), rtol=1e-5)


@pytest.mark.parametrize("method", [*BY_HAND, score_cam])
def test_refusals(method):
    obs, p = jnp.asarray(oracles.frame()), tiny.params()
    with pytest.raises(KeyError, match="conv1"):
        method(tiny.f, scores.value, "conv9")(p, obs)
    with pytest.raises(ValueError, match=r"layer \[h w c\], but 'fc' has shape \(16,\)"):
        method(tiny.f, scores.value, "fc")(p, obs)
