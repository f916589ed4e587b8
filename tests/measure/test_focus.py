"""Maps whose share on what moves is known: the brightness of a square that walks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.explain import g1_grad_cam, scores
from rljax_viz.measure import cam_focus, guided_focus
from rljax_viz.networks import Output
from rljax_viz.transforms import tag
from tests.measure.test_health import walk


class Sees(nn.Module):
    """value = 3 bright - 2 dark: the gradient is 3 where the newest frame is bright, -2 where it is dark."""

    @nn.compact
    def __call__(self, obs):
        newest = obs[..., -1].astype(jnp.float32)
        bright, dark = nn.relu(newest - 100), nn.relu(100 - newest)
        return Output(value=3 * bright.sum() + 2 * dark.sum())


class Felt(nn.Module):
    """One channel "eye" [H W 1] of the newest frame's brightness; value = its sum, by way of a ReLU."""

    sign: float = 1.0

    @nn.compact
    def __call__(self, obs):
        eye = tag(nn.relu(obs[..., -1:].astype(jnp.float32)), "eye")
        return Output(value=self.sign * nn.relu(eye.sum()))


def seen(obs):
    """(where the square has moved to or from, where it is) of each step but the first."""
    return obs[1:, ..., -1] != obs[:-1, ..., -1], obs[1:, ..., -1] > 0


def test_guided_gradients_of_both_signs_on_what_moves():
    obs, _ = walk()
    found = {one.where: one for one in guided_focus(Sees().apply, scores.value, {}, obs, 1, stream="value")}
    moving, bright = seen(obs)
    part = bright[moving].mean()
    positive, negative = found["positive, on what moves"], found["negative, on what moves"]
    assert positive.number == pytest.approx(3 * part) and negative.number == pytest.approx(2 * (1 - part))
    assert found["positive, moving over whole"].number == pytest.approx(part / bright.mean())
    assert found["negative, moving over whole"].number == pytest.approx((1 - part) / (1 - bright).mean())
    assert positive.check == "guided gradient of value" and f"{moving.mean():.1%} of the picture" in positive.says


def test_class_activation_maps_on_what_moves():
    obs, _ = walk()
    (found,) = cam_focus(g1_grad_cam(Felt().apply, scores.value, "eye"), {}, obs, 1, name="cam")
    moving, bright = seen(obs)
    assert found.number == pytest.approx(1 / moving.mean()) and found.says.startswith("100% of it")
    assert bright.sum() * 2 == moving.sum()
    (empty,) = cam_focus(g1_grad_cam(Felt(-1.0).apply, scores.value, "eye"), {}, obs, 1)
    assert empty.number == 0 and "0 everywhere" in empty.says
    (even,) = cam_focus(lambda params, one: jnp.ones((5, 5)), {}, obs, 1)
    assert even.number == pytest.approx(1.0)  # chance, at another resolution


def test_nothing_is_said_where_nothing_moves_or_nothing_is_guided():
    still = np.zeros((4, 6, 6, 4), np.uint8)
    assert not guided_focus(Sees().apply, scores.value, {}, still, 1)
    assert not cam_focus(lambda params, one: one[..., 0], {}, still, 1)
    linear = lambda params, obs: Output(value=obs.astype(jnp.float32).sum())  # noqa: E731
    assert not guided_focus(linear, scores.value, {}, walk()[0], 1)


def test_what_was_remembered_goes_along():
    obs, _ = walk(steps=6)
    memory = jnp.arange(6.0)
    f = lambda params, one, memory: Output(value=memory * jax.nn.relu(one[..., -1]).sum())  # noqa: E731
    found = {one.where: one.number for one in guided_focus(f, scores.value, {}, obs, 1, memory)}
    moving, bright = seen(obs)
    want = (bright * np.arange(1, 6)[:, None, None])[moving].mean()
    assert found["positive, on what moves"] == pytest.approx(want)
