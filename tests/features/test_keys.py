"""Decoded keys, paths between embeddings, and states laid out in the plane."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.features import attention_by_value, invert_keys, latent_path, pixelwise_maximum, tsne

LINEAR = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)


def decode(h):
    return (LINEAR @ h).reshape(2, 3, 2)


def test_keys_are_decoded_one_by_one():
    keys = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
    expected = np.einsum("pe,ane->anp", LINEAR, keys).reshape(3, 4, 2, 3, 2)
    np.testing.assert_allclose(invert_keys(decode, jnp.asarray(keys)), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"keys are \[\.\.\. E\]"):
        invert_keys(decode, jnp.zeros(()))


def test_a_path_goes_straight_from_start_to_end():
    start, end = jnp.arange(5.0), jnp.ones(5)
    path = latent_path(decode, start, end, 6)
    expected = [LINEAR @ (np.asarray(start) + t * (1 - np.arange(5.0))) for t in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    np.testing.assert_allclose(path.reshape(6, -1), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="steps >= 2"):
        latent_path(decode, start, end, 1)


def test_the_maximum_holds_what_every_state_holds():
    a, b = np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    a[0, 0], b[1, 1] = 200, 100
    assert pixelwise_maximum(jnp.stack([a, b])).tolist() == [[200, 0], [0, 100]]
    assert pixelwise_maximum([a, b]).tolist() == [[200, 0], [0, 100]] and pixelwise_maximum([a, b]).dtype == np.uint8
    for nothing in ([], jnp.zeros((0, 2, 2)), jnp.zeros(())):
        with pytest.raises(ValueError, match=r"frames are \[N \.\.\.\], one or more, got shape \("):
            pixelwise_maximum(nothing)


def test_attention_maps_go_from_the_smallest_value_to_the_largest():
    weights = jnp.array([[0.1, 0.7, 0.2], [0.5, 0.0, 0.5]])
    found = attention_by_value(weights, jnp.array([3.0, -1.0, 2.0]))
    np.testing.assert_array_equal(found, np.asarray(weights)[:, [1, 2, 0]])
    np.testing.assert_array_equal(attention_by_value(weights.tolist(), [3.0, -1.0, 2.0]), found)
    for values in ([3.0, -1.0], [3.0, -1.0, 2.0, 5.0], [[3.0, -1.0, 2.0]], 3.0):
        with pytest.raises(ValueError, match=r"values are \[N\], one for each key of weights"):
            attention_by_value(weights, values)


@pytest.mark.parametrize("decoder", ["ae", "vae", "dense-vae"])
def test_a_state_decodes_as_the_network_reconstructs_it(decoder):
    net = networks.make("minatar-idqn", 3, decoder=decoder)
    obs = np.random.default_rng(2).integers(0, 256, (10, 10, 4), np.uint8)
    params = net.init(jax.random.key(0), obs)
    mean = jnp.full((10, 10, 4), 30.0)
    params = {**params, "constants": {**params["constants"], "mean": mean}}
    out = net.apply(params, obs)
    decoded = networks.decode(net, params, out.embedding)
    np.testing.assert_allclose(decoded, out.reconstruction * 255 + mean, rtol=1e-5, atol=1e-3)
    frames = invert_keys(functools.partial(networks.decode, net, params), params["params"]["keys"])
    assert frames.shape == (3, 20, 10, 10, 4)
    noisy = net.apply(params, obs, rngs={"noise": jax.random.key(1)}).reconstruction
    assert (decoder == "ae") == bool(jnp.array_equal(noisy, out.reconstruction))


def test_neighbours_stay_neighbours():
    pytest.importorskip("sklearn", reason="the extra `analysis`")
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(20, 6)), rng.normal(size=(20, 6)) + 30])
    flat = tsne(points, perplexity=8, iterations=300)
    far = np.linalg.norm(flat[:20].mean(0) - flat[20:].mean(0))
    assert flat.shape == (40, 2) and far > flat[:20].std() + flat[20:].std()
    with pytest.raises(ValueError, match="more than perplexity=75"):
        tsne(points)
