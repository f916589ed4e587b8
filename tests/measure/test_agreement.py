"""Agreement against a loop in numpy."""

import jax.numpy as jnp
import numpy as np

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
