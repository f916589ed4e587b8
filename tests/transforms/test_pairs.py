"""DeepLIFT's rescale rule as a transform; its values layer by layer stand in tests/explain/test_deep_lift.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rljax_viz.transforms import rescaled
from tests.transforms.tiny import LIBRARIES, OBS, close, model

X, B = jnp.array([1.0, -2.0, 3.0, 0.5]), jnp.array([0.2, 0.1, -0.3, 0.5])
WAYS = {
    "jit": lambda x: jax.jit(lambda x: jax.nn.relu(x - 0.4))(x).sum(),
    "scan": lambda x: lax.scan(lambda h, w: (jax.nn.relu(h * w - 0.1), None), x, jnp.array([0.5, -1.5, 2.0]))[0].sum(),
    "cond": lambda x: lax.cond(x.sum() > -9, jax.nn.relu, jnp.abs, x).sum(),
    "remat": lambda x: jax.checkpoint(lambda x: jnp.maximum(x * 2 - 1, 0))(x).sum(),
    "twice": lambda x: (jax.nn.relu(jax.nn.relu(x - 0.1) * jnp.array([1.0, -1.0, 2.0, 1.0]) + 0.3)).sum(),
}


@pytest.mark.parametrize("way", [way for way in WAYS if way != "cond"])
def test_the_slopes_bridge_the_whole_difference(way):
    f = WAYS[way]
    value, slope = jax.jit(jax.value_and_grad(lambda x: rescaled(f)(x, B)))(X)
    np.testing.assert_allclose(value, f(X), rtol=1e-6)
    np.testing.assert_allclose(((X - B) * slope).sum(), f(X) - f(B), rtol=1e-5)


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_batched_over_frames(library):
    f, params = model(library)
    other = OBS * 0.3
    frames = jnp.stack([OBS, OBS / 2])

    def bridge(obs):
        return rescaled(lambda x: f(params, x).value)(obs, other)

    slopes = jax.jit(jax.vmap(jax.grad(bridge)))(frames)
    got = ((frames - other[None]) * slopes).sum((1, 2, 3))
    want = jax.vmap(lambda o: f(params, o).value)(frames) - f(params, other).value
    close(got, want, 1e-4)


def test_refuses_a_function_without_relu():
    with pytest.raises(ValueError, match="no ReLU"):
        rescaled(jnp.sin)(X, B)
