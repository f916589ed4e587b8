"""Agreement against a loop in numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.measure import agreement, image_space_action


def by_hand(state, images, values, exploration):
    best = []
    for rows in images:
        cosine = np.array([(state * s).sum() / np.sqrt((state**2).sum() * (s**2).sum()) for s in rows])
        w = np.exp(cosine) / np.exp(cosine).sum()
        q = (w * values).sum()
        best.append(q + exploration * np.sqrt((w * values**2).sum() - q**2))
    return int(np.argmax(best))


def test_agreement_is_that_of_numpy():
    rng = np.random.default_rng(0)
    states, images = rng.normal(size=(30, 4, 4, 2)), rng.normal(size=(5, 7, 4, 4, 2))
    values, actions = np.linspace(-25, 25, 7), rng.integers(0, 5, 30)
    for exploration in (0.0, 0.5):
        chosen = [by_hand(s, images, values, exploration) for s in states]
        ours = [int(image_space_action(*map(jnp.float32, (s, images, values)), exploration)) for s in states]
        assert ours == chosen
        found = agreement(jnp.float32(states), jnp.asarray(actions), jnp.float32(images), jnp.float32(values), exploration)
        np.testing.assert_allclose(found, np.mean(np.array(chosen) == actions), rtol=1e-6)


def test_an_image_of_zeros_is_similar_to_nothing():
    images = jnp.zeros((2, 2, 3, 3, 1)).at[1, 1].set(1.0)
    assert image_space_action(jnp.ones((3, 3, 1)), images, jnp.array([-1.0, 1.0])) == 1


def test_frames_of_uint8_are_compared_as_numbers():
    rng = np.random.default_rng(1)
    states, images = rng.integers(0, 256, (20, 6, 6, 2), np.uint8), rng.integers(0, 256, (4, 5, 6, 6, 2), np.uint8)
    values, actions = jnp.linspace(-25.0, 25.0, 5), np.zeros(20, np.int32)
    wide = [by_hand(s.astype(np.float64), images.astype(np.float64), np.asarray(values), 0.0) for s in states]
    found = [int(image_space_action(jnp.asarray(s), jnp.asarray(images), values)) for s in states]
    assert found == wide and len(set(wide)) > 1
    share = agreement(jnp.asarray(states), jnp.asarray(actions), jnp.asarray(images), values)
    np.testing.assert_allclose(share, np.mean(np.array(wide) == 0), rtol=1e-6)


def test_one_action_for_each_state():
    states, images, values = jnp.ones((3, 2, 2, 1)), jnp.ones((2, 2, 2, 2, 1)), jnp.ones(2)
    for actions in (jnp.zeros((3, 1), int), jnp.zeros(2, int), jnp.zeros((), int)):
        with pytest.raises(ValueError, match=r"actions are \[M\], one for each of the 3 states; got \("):
            agreement(states, actions, images, values)
