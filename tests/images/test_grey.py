import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from rljax_viz.images import grey


def test_equals_pillow_before_rounding():
    colour = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(colour).convert("L"), np.float64)
    ours = np.asarray(grey(jnp.asarray(colour)))
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() <= 0.51
    np.testing.assert_allclose(ours, colour @ np.array([0.299, 0.587, 0.114]), rtol=1e-6, atol=1e-4)


def test_white_stays_white_and_the_gradient_is_the_luma():
    np.testing.assert_allclose(grey(jnp.full((2, 2, 3), 255, jnp.uint8)), 255, rtol=1e-6)
    slope = jax.grad(lambda x: grey(x)[0, 0])(jnp.zeros((2, 2, 3)))
    np.testing.assert_allclose(slope[0, 0], [0.299, 0.587, 0.114], rtol=1e-6)
    assert float(jnp.abs(slope).sum()) == pytest.approx(1.0)


def test_jit_and_vmap():
    images = jnp.asarray(np.random.default_rng(1).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8))
    np.testing.assert_allclose(jax.jit(jax.vmap(grey))(images), jnp.stack([grey(x) for x in images]), rtol=1e-6)


def test_refusals():
    for shape in ((4, 4), (4, 4, 1), (2, 4, 4, 3)):
        with pytest.raises(ValueError, match=r"\[H W 3\]"):
            grey(jnp.zeros(shape))
