import jax
import jax.numpy as jnp
import pytest

from rljax_viz.explain import g1_grad_cam, g2_grad_cam, grad_cam, guided_backprop, guided_grad_cam, scores, upsample
from tests import oracles
from tests.explain import tiny

COARSE = {guided_grad_cam: ("plain", grad_cam), g2_grad_cam: ("guided", g1_grad_cam)}


@pytest.mark.parametrize("method", COARSE)
@pytest.mark.parametrize(("layer", "target", "seed"), [("conv1", "value", 0), ("conv2", "logit:1", 1)])
def test_equals_the_hand_written_product(method, layer, target, seed):
    w, obs = oracles.weights(), oracles.frame(seed)
    cam = oracles.bilinear(oracles.grad_cam(w, obs, target, layer, COARSE[method][0]), oracles.OBS_SHAPE[:2])
    reference = cam[..., None] * oracles.gradient(w, obs, target, "guided")
    map = jax.jit(method(tiny.f, scores.parse(target), layer))(tiny.params(), jnp.asarray(obs))
    tiny.close(map, reference)


@pytest.mark.parametrize("method", COARSE)
def test_is_the_product_of_its_parts(method):
    obs, p = jnp.asarray(oracles.frame(2)), tiny.params()
    coarse = COARSE[method][1](tiny.f, scores.value, "conv2")(p, obs)
    product = upsample(coarse, (12, 11))[..., None] * guided_backprop(tiny.f, scores.value)(p, obs)
    assert jnp.allclose(method(tiny.f, scores.value, "conv2")(p, obs), product, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("method", COARSE)
def test_refusals(method):
    obs, p = jnp.asarray(oracles.frame()), tiny.params()
    with pytest.raises(KeyError, match="conv1"):
        method(tiny.f, scores.value, "conv9")(p, obs)
    with pytest.raises(ValueError, match=r"layer \[h w c\]"):
        method(tiny.f, scores.value, "fc")(p, obs)
    with pytest.raises(ValueError, match=r"one observation \[H W C\], got shape \(12, 11\)"):
        method(tiny.f, scores.value, "conv1")(p, obs[..., 0])
