import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import rise, rise_masks, scores
from tests import oracles
from tests.explain import tiny

KEY = jax.random.key(0)


def test_equals_the_loop_over_masks():
    obs, weights = oracles.frame(1), oracles.weights()
    masks = np.asarray(rise_masks(KEY, 50, 3, 0.5, obs.shape[:2]), np.float64)
    seen = [oracles.forward(weights, obs * mask[..., None])["value"] for mask in masks]
    want = np.tensordot(seen, masks, 1) / masks.sum(0)
    tiny.close(jax.jit(rise(tiny.f, scores.value, jnp.asarray(masks)))(tiny.params(), jnp.asarray(obs)), want)


def test_a_pixel_that_no_mask_shows_is_zero():
    masks = jnp.zeros((2, *oracles.OBS_SHAPE[:2])).at[0, 3:].set(1.0)
    map = np.asarray(rise(tiny.f, scores.value, masks)(tiny.params(), jnp.asarray(oracles.frame())))
    assert not map[:3].any() and map[3:].all()


def test_masks_are_smooth_coins():
    masks = np.asarray(rise_masks(KEY, 400, 7, 0.3, (84, 80)))
    assert masks.shape == (400, 84, 80) and masks.dtype == np.float32
    assert masks.min() >= 0 and masks.max() <= 1
    assert abs(masks.mean() - 0.3) < 0.02
    steps = np.abs(np.diff(masks, axis=1)).max()
    assert steps <= 1 / 12 + 1e-5  # a cell is 12 pixels high, and bilinear between its neighbours
    assert len({m.tobytes() for m in masks}) > 390


def test_every_shift_within_a_cell_comes_up():
    """Four coins fall in 16 ways, which would be all there is without the 16 shifts of cells four pixels wide."""
    masks = np.asarray(rise_masks(KEY, 600, 2, 0.5, (8, 8)))
    assert len({m.tobytes() for m in masks}) > 100


def test_refusals():
    with pytest.raises(ValueError, match="n >= 1"):
        rise_masks(KEY, 0, 7, 0.5, (84, 84))
    with pytest.raises(ValueError, match="p <= 1"):
        rise_masks(KEY, 5, 7, 1.5, (84, 84))
    with pytest.raises(ValueError, match="do not fit a frame"):
        rise(tiny.f, scores.value, jnp.ones((3, 84, 84)))(tiny.params(), jnp.asarray(oracles.frame()))
