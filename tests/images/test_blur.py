import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rljax_viz.images import gaussian_blur


@pytest.mark.parametrize("mode", ["reflect", "mirror"])
@pytest.mark.parametrize(("shape", "sigma"), [((12, 9), 1.0), ((20, 20), 3.0), ((5, 7), 5.0), ((2, 3), 4.0)])
def test_equals_scipy(mode, shape, sigma):
    image = np.random.default_rng(0).uniform(0, 255, shape)
    ours = gaussian_blur(jnp.asarray(image), sigma, mode)
    np.testing.assert_allclose(ours, gaussian_filter(image, sigma, mode=mode), rtol=1e-5, atol=1e-4)


def test_truncate_is_scipys():
    image = np.random.default_rng(1).normal(size=(15, 15))
    ours = gaussian_blur(jnp.asarray(image), 2.0, truncate=1.5)
    np.testing.assert_allclose(ours, gaussian_filter(image, 2.0, truncate=1.5), atol=1e-5)


def test_each_frame_of_a_stack_for_itself():
    stack = np.random.default_rng(2).uniform(0, 255, (10, 11, 4))
    ours = gaussian_blur(jnp.asarray(stack), 3.0)
    np.testing.assert_allclose(ours, gaussian_filter(stack, (3, 3, 0)), rtol=1e-5, atol=1e-3)
    assert np.abs(ours - gaussian_filter(stack, 3)).max() > 5  # blurring across the stack is another function


def test_keeps_the_mean_and_constants():
    image = np.random.default_rng(3).uniform(0, 255, (9, 9))
    np.testing.assert_allclose(gaussian_blur(jnp.asarray(image), 2.0).mean(), image.mean(), rtol=1e-5)
    np.testing.assert_allclose(gaussian_blur(jnp.full((4, 4), 7, jnp.uint8), 3.0), 7, rtol=1e-6)


def test_jit_vmap_and_gradient():
    images = jnp.asarray(np.random.default_rng(4).normal(size=(3, 8, 8)), jnp.float32)
    batch = jax.jit(jax.vmap(lambda x: gaussian_blur(x, 1.5)))(images)
    np.testing.assert_allclose(batch, jnp.stack([gaussian_blur(x, 1.5) for x in images]), atol=1e-6)
    slope = jax.grad(lambda x: gaussian_blur(x, 1.5)[4, 4])(images[0])
    impulse = np.zeros((8, 8))
    impulse[4, 4] = 1
    np.testing.assert_allclose(slope.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(slope[4, 4], gaussian_filter(impulse, 1.5)[4, 4], rtol=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match=r"one image \[H W\]"):
        gaussian_blur(jnp.zeros((2, 3, 4, 5)), 1.0)
    with pytest.raises(ValueError, match="knows the borders"):
        gaussian_blur(jnp.zeros((4, 4)), 1.0, mode="wrap")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="sigma > 0"):
        gaussian_blur(jnp.zeros((4, 4)), 0.0)
