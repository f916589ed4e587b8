import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from rljax_viz.images import mirror_resize, upsample
from tests import oracles


@pytest.mark.parametrize(("old", "new"), [((5, 4), (17, 13)), ((7, 7), (84, 84)), ((3, 6), (3, 6)), ((1, 1), (4, 3))])
def test_equals_bilinear_with_half_pixel_centres_and_clamped_edges(old, new):
    map = np.random.default_rng(0).normal(size=old)
    np.testing.assert_allclose(upsample(jnp.asarray(map), new), oracles.bilinear(map, new), atol=1e-5)


def test_equals_pillow():
    map = np.random.default_rng(1).normal(size=(6, 9)).astype(np.float32)
    theirs = np.asarray(Image.fromarray(map).resize((40, 31), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(upsample(jnp.asarray(map), (31, 40)), theirs, atol=1e-5)


def test_shrinking_does_not_average():
    spot = jnp.zeros((9, 9)).at[4, 4].set(1.0)
    assert float(upsample(spot, (3, 3))[1, 1]) == 1.0  # the centre tap alone; antialiasing gives less


def test_channels_are_resized_apart():
    map = jnp.asarray(np.random.default_rng(2).normal(size=(4, 5, 3)), jnp.float32)
    apart = jnp.stack([upsample(map[..., c], (9, 11)) for c in range(3)], -1)
    np.testing.assert_allclose(upsample(map, (9, 11)), apart, atol=1e-6)


def test_any_dtype_becomes_float32_and_constants_stay():
    for dtype in (jnp.uint8, jnp.bfloat16, jnp.float16):
        big = upsample(jnp.full((2, 3), 3, dtype), (5, 7))
        assert big.dtype == jnp.float32
        np.testing.assert_allclose(big, 3.0, rtol=1e-6)


def test_jit_and_vmap():
    maps = jnp.asarray(np.random.default_rng(3).normal(size=(3, 4, 5)), jnp.float32)
    batch = jax.jit(jax.vmap(lambda m: upsample(m, (8, 9))))(maps)
    np.testing.assert_allclose(batch, jnp.stack([upsample(m, (8, 9)) for m in maps]), atol=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match=r"one map \[h w\]"):
        upsample(jnp.zeros((2, 3, 4, 5)), (8, 8))
    with pytest.raises(ValueError, match="at least 1"):
        upsample(jnp.zeros((2, 3)), (0, 8))


def test_mirror_resize_is_scipys():
    """What skimage.transform.resize(order=1) calls; an attention map goes to the size of the raw frame with it."""
    rng = np.random.default_rng(0)
    for before, after in (((84, 84), (210, 160)), ((2, 3), (7, 4)), ((20, 20), (84, 84))):
        map = rng.random(before)
        zoom = [a / b for a, b in zip(after, before, strict=True)]
        want = ndimage.zoom(map, zoom, order=1, mode="mirror", grid_mode=True)
        np.testing.assert_allclose(mirror_resize(map, after), want, atol=2e-6)
    map = rng.random((84, 84))
    apart = np.abs(np.asarray(mirror_resize(map, (210, 160)) - upsample(map, (210, 160))))
    assert apart[2:-2, 2:-2].max() < 1e-5 and apart.max() > 0.1  # only the outer half pixel


def test_mirror_resize_refuses():
    with pytest.raises(ValueError, match=r"sides 2 or more, and \(H, W\): got \(1, 4\)"):
        mirror_resize(np.zeros((1, 4)), (4, 4))
