"""Against the authors' recipe, one spot at a time, with scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.special import softmax
from scipy.stats import entropy

from rljax_viz.explain import perturbation, sarfa
from tests import oracles
from tests.explain import tiny


def spots(obs, radius, stride, sigma):
    """(row, column, the frame blurred there), as in visualize_atari; each frame of the stack for itself."""
    height, width, _ = obs.shape
    image = obs.astype(np.float64)
    blurred = np.stack([gaussian_filter(image[..., c], sigma) for c in range(obs.shape[2])], -1)
    for i in range(-(-height // stride)):
        for j in range(-(-width // stride)):
            y, x = np.ogrid[-i * stride : height - i * stride, -j * stride : width - j * stride]
            mask = np.zeros((height, width))
            mask[x * x + y * y <= 1] = 1
            mask = gaussian_filter(mask, sigma=radius)
            mask = (mask / mask.max())[..., None]
            yield i, j, image * (1 - mask) + blurred * mask


@pytest.mark.parametrize(("radius", "stride", "sigma"), [(2, 3, 1.0), (5, 5, 3.0), (1, 4, 2.0)])
@pytest.mark.parametrize("target", ["logits", "value"])
def test_half_the_squared_change(target, radius, stride, sigma):
    obs, weights = oracles.frame(1), oracles.weights()
    clean = np.atleast_1d(oracles.forward(weights, obs)[target])
    want = np.zeros((-(-obs.shape[0] // stride), -(-obs.shape[1] // stride)))
    for i, j, frame in spots(obs, radius, stride, sigma):
        want[i, j] = 0.5 * ((np.atleast_1d(oracles.forward(weights, frame)[target]) - clean) ** 2).sum()
    explain = perturbation(tiny.f, lambda out: getattr(out, target), radius, stride, sigma)
    tiny.close(jax.jit(explain)(tiny.params(), jnp.asarray(obs)), want, 1e-4)


@pytest.mark.parametrize("action", [None, 0, 3])
def test_sarfa(action):
    obs, weights = oracles.frame(2), oracles.weights()
    before = oracles.forward(weights, obs)["logits"] * 5
    chosen = before.argmax() if action is None else action
    want = np.zeros((4, 4))
    for i, j, frame in spots(obs, 2, 3, 2.0):
        after = oracles.forward(weights, frame)["logits"] * 5
        drop = softmax(before)[chosen] - softmax(after)[chosen]
        kept = 1 / (1 + entropy(softmax(np.delete(before, chosen)), softmax(np.delete(after, chosen))))
        want[i, j] = 2 * drop * kept / (drop + kept) if drop > 0 else 0
    explain = sarfa(tiny.f, lambda out: 5 * out.logits, action, radius=2, stride=3, sigma=2.0)
    tiny.close(jax.jit(explain)(tiny.params(), jnp.asarray(obs)), want, 1e-3)


def test_the_grid_of_an_atari_frame_is_17_by_17():
    explain = perturbation(lambda params, obs: obs.sum(), lambda out: out)
    assert jax.eval_shape(explain, None, jax.ShapeDtypeStruct((84, 84, 4), jnp.uint8)).shape == (17, 17)
    assert jax.eval_shape(explain, None, jax.ShapeDtypeStruct((80, 80, 1), jnp.uint8)).shape == (16, 16)


def test_sees_a_dot_where_it_is():
    obs = jnp.zeros((40, 40, 2)).at[20, 30, 1].set(255.0)
    map = np.asarray(perturbation(lambda params, obs: obs[20, 30, 1], lambda out: out)(None, obs))
    assert np.unravel_index(map.argmax(), map.shape) == (4, 6) and map[0, 0] < 1e-6 * map.max()


def test_recurrent_agents_get_their_carry():
    def f(params, obs, carry):
        return obs.mean() * carry

    map = perturbation(f, lambda out: out)(None, jnp.ones((10, 10, 1)).at[5, 5].set(200.0), jnp.float32(3))
    alone = perturbation(lambda p, o: o.mean(), lambda out: out)(None, jnp.ones((10, 10, 1)).at[5, 5].set(200.0))
    np.testing.assert_allclose(map, 9 * np.asarray(alone), rtol=1e-5)


def test_refusals():
    obs = jnp.asarray(oracles.frame())
    with pytest.raises(ValueError, match="at least one pixel"):
        perturbation(tiny.f, lambda out: out.value, stride=0)(tiny.params(), obs)
    with pytest.raises(ValueError, match=r"\[H W C\]"):
        perturbation(tiny.f, lambda out: out.value)(tiny.params(), obs[None])
    with pytest.raises(ValueError, match="action 4"):
        sarfa(tiny.f, lambda out: out.logits, 4)(tiny.params(), obs)
    with pytest.raises(ValueError, match=r"Output -> \[A\]"):
        sarfa(tiny.f, lambda out: out.value)(tiny.params(), obs)
