"""Networks of seed papers that remember, or look at a window: two steps against numpy, sizes, tags."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks, transforms
from rljax_viz.explain import grad_cam, scores, unroll
from tests.networks import oracles
from tests.networks.test_networks import NATURE_CONVS, decompositions, frames

SHAPES = dict.fromkeys(oracles.REMEMBERING, (36, 40, 2)) | {"split-attention": (36, 36, 3)}
SHAPES |= {name: (10, 10, 4) for name in SHAPES if name.startswith("minatar")} | {"a3c": (44, 44, 3), "a3c-lstm": (44, 44, 3)}
SHAPES |= {"minatar-split-attention": (10, 10, 10 * 3)}


def drawn(net, shape, seed=1):
    """Random weights and biases of half the usual size, so that gates are neither open nor shut."""
    rng = np.random.default_rng(seed)
    params = jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.uint8))
    scale = lambda leaf: 0.1 if len(leaf.shape) == 1 else 0.7 / np.sqrt(np.prod(leaf.shape[:-1]))  # noqa: E731
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, scale(leaf), leaf.shape), jnp.float32), params)


@pytest.mark.parametrize("name", SHAPES)
def test_two_steps_are_those_of_numpy(name):
    net = networks.make(name, 3)
    params, (first, second) = drawn(net, SHAPES[name]), frames(SHAPES[name], 2)
    apply, p = jax.jit(net.apply), params["params"]
    carry, theirs = None, None
    for obs in (first, second):
        out = apply(params, obs) if carry is None else apply(params, obs, carry)
        oracle = oracles.REMEMBERING[name](p, obs, theirs)
        carry, theirs = out.carry, oracle.get("carry")
        assert {field for field, value in out._asdict().items() if value is not None} == oracle.keys()
        for field, value in oracle.items():
            for ours, expected in zip(jax.tree.leaves(getattr(out, field)), jax.tree.leaves(value), strict=True):
                np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-5, err_msg=field)
    assert (carry is not None) == (name in networks.RECURRENT)


def lstm(inside, width):
    return 4 * width * (inside + width + 1)


@pytest.mark.parametrize(
    ("name", "obs", "count"),
    [
        ("a3c", (84, 84, 3), 8 * 8 * 3 * 32 + 32 + 32_832 + 36_928 + (4 * 4 * 64 + 1) * 256 + 7 * 257),
        ("a3c-lstm", (84, 84, 1), 8 * 8 * 32 + 32 + 32_832 + 36_928 + 1025 * 256 + lstm(256, 256) + 7 * 257),
        ("drqn", (84, 84, 1), 2_080 + 32_832 + 36_928 + lstm(3136, 512) + 7 * 513),
        ("darqn", (84, 84, 1), 2_080 + 32_832 + 36_928 + 65 * 256 + 512 * 256 + 257 + lstm(64, 512) + 7 * 513),
    ],
)
def test_parameter_counts(name, obs, count):
    net = networks.make(name, 6)
    params = jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct(obs, jnp.uint8))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


@pytest.mark.parametrize("name", SHAPES)
def test_several_seeds_begin_one_after_the_other(name):
    net, keys = networks.make(name, num_actions=4), jax.vmap(jax.random.key)(np.arange(2))
    found = decompositions(jax.vmap(net.init, (0, None)), keys, np.zeros(SHAPES[name], np.uint8))
    assert found
    assert not any(found)


def test_split_attention_has_the_layers_of_the_paper_and_tags_for_every_moment():
    net = networks.make("split-attention", 18)
    obs = jax.ShapeDtypeStruct((84, 84, 10), jnp.uint8)
    params = jax.eval_shape(net.init, jax.random.key(0), obs)
    streams = 4 * lstm(512, 512) * 2 + 513 + 2 + 513 * 18 + 19
    convs = 2_080 + 32_832 + 36_928 + 3137 * 512
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == convs + streams + 19 * 18
    found = {tag: h.shape for tag, h in transforms.tags(net.apply)(params, obs).items()}
    expected = {f"{layer}.t{t}": shape for layer, shape in NATURE_CONVS.items() for t in range(10)}
    assert found == expected | {"fc": (10, 512), "attention_value": (10,), "attention_advantage": (10,)}


def test_the_small_split_attention_looks_at_ten_frames_of_any_number_of_planes():
    for planes in (1, 4):
        net, obs = networks.make("minatar-split-attention", 3), jax.ShapeDtypeStruct((10, 10, 10 * planes), jnp.uint8)
        params = jax.eval_shape(net.init, jax.random.key(0), obs)
        streams = 4 * lstm(64, 64) * 2 + 65 + 2 + 65 * 3 + 4
        convs = 9 * planes * 16 + 16 + 1025 * 64
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == convs + streams + 4 * 3
        found = {tag: h.shape for tag, h in transforms.tags(net.apply)(params, obs).items()}
        assert list(found)[:10] == [f"conv1.t{t}" for t in range(10)] and found["conv1.t9"] == (8, 8, 16)
    with pytest.raises(ValueError, match=r"looks at 10 frames, and 4 channels do not divide.*--algo split-attention"):
        jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct((10, 10, 4), jnp.uint8))


def test_grad_cam_looks_at_one_moment():
    net, shape = networks.make("split-attention", 3), (36, 36, 3)
    params, obs = drawn(net, shape), frames(shape)
    maps = jax.jit(lambda o: [grad_cam(net.apply, scores.q(1), f"conv1.t{t}")(params, o) for t in range(3)])(obs)
    assert all(m.shape == (8, 8) for m in maps) and not np.allclose(maps[0], maps[2])


def test_the_past_is_explained_through_the_memory():
    net, shape = networks.make("minatar-lstm", 3), (10, 10, 4)
    params, window = drawn(net, shape), frames(shape, 4).astype(np.float32)
    f = unroll(net.apply)
    slope = jax.jit(jax.grad(lambda w: f(params, w).value))(window)
    assert slope.shape == (4, 10, 10, 4) and all(np.abs(slope[t]).max() > 0 for t in range(4))
    carry = None
    for obs in window:
        out = net.apply(params, obs, carry)
        carry = out.carry
    np.testing.assert_allclose(f(params, window).value, out.value, rtol=1e-5)
