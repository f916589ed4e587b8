"""K-FAC's factors, inverses and steps against the exact Fisher matrix and against numpy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.agents import kfac
from rljax_viz.agents.acktr import fisher_loss
from rljax_viz.networks import Output
from tests.networks.test_networks import decompositions

SETTINGS = {"damping": 1e-6, "decay": 0.9, "max_kl": 1e9, "momentum": 0.0, "inverse_every": 3}


class Linear(nn.Module):
    """Actor and critic, linear in the observation [d]."""

    num_actions: int = 3

    @nn.compact
    def __call__(self, obs):
        return Output(logits=nn.Dense(self.num_actions, name="logits")(obs), value=nn.Dense(1, name="value")(obs)[0])


class Small(nn.Module):
    """Every kind of layer: strides, paddings, without a bias, several places through one dense layer."""

    @nn.compact
    def __call__(self, obs):
        x = nn.relu(nn.Conv(4, (3, 3), (2, 2), "VALID", name="first")(obs.astype(jnp.float32)))
        x = nn.relu(nn.Conv(3, (3, 2), 1, "SAME", use_bias=False, name="second")(x))
        x = nn.tanh(nn.Dense(5, name="mixed")(x)).reshape(-1)
        return Output(logits=nn.Dense(2, name="logits")(x), value=nn.Dense(1, name="value")(x)[0])


def slopes_and_inputs(net, layers, params, obs, loss):
    out, pull, inputs = kfac.watched(net, layers, params, obs)
    return pull(jax.grad(loss)(out))[1], inputs


def factors(net, params, obs, loss, valid=None):
    layers = kfac.find_layers(net, params, obs[0])
    valid = jnp.ones(len(obs)) if valid is None else valid

    @jax.jit
    def measured(params):
        slopes, inputs = slopes_and_inputs(net, layers, params, obs, loss)
        return {k: kfac.measure(layers[k], inputs[k], slopes[k], valid) for k in layers}

    return layers, measured(params)


def test_the_factors_of_a_linear_model_are_its_exact_fisher_matrix():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=4), jnp.float32)
    obs, net = jnp.broadcast_to(x, (40_000, 4)), Linear()  # one state, many draws
    params = net.init(jax.random.key(0), x)
    _, found = factors(net, params, obs, lambda out: fisher_loss(jax.random.key(1), out))
    p = np.asarray(jax.nn.softmax(net.apply(params, x).logits), np.float64)
    a = np.append(np.asarray(x, np.float64), 1.0)
    # of the softmax: aa' x (diag p - pp'); of the Gaussian of variance 1: aa' x 1. Of one state both are exact products
    for name, slope in (("logits", np.diag(p) - np.outer(p, p)), ("value", np.ones((1, 1)))):
        np.testing.assert_allclose(found[name].a, np.outer(a, a), atol=1e-4)
        np.testing.assert_allclose(found[name].g, slope, atol=0.02)
        by_draws = np.kron(found[name].a, found[name].g)
        np.testing.assert_allclose(by_draws, np.kron(np.outer(a, a), slope), atol=0.03 * np.abs(by_draws).max())


def test_the_inputs_factor_leaves_out_steps_that_only_reset():
    net, obs = Linear(), jax.random.normal(jax.random.key(0), (8, 4))
    valid = jnp.arange(8) < 5
    _, found = factors(net, net.init(jax.random.key(1), obs[0]), obs, lambda out: out.value.sum(), valid)
    a = np.c_[np.asarray(obs), np.ones(8)][:5]
    np.testing.assert_allclose(found["value"].a, a.T @ a / 5, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["value"].g, [[1.0]], rtol=1e-6)


def numpy_rows(x, size, stride, padding):
    """The patches of x[H W C] that a convolution reads, row by row, with a 1 behind each."""
    x = np.pad(x, (*padding, (0, 0)))
    found = [
        x[i : i + size[0], j : j + size[1]].reshape(-1)
        for i in range(0, x.shape[0] - size[0] + 1, stride)
        for j in range(0, x.shape[1] - size[1] + 1, stride)
    ]
    return np.stack(found)


def test_convolutions_against_numpy():
    net, obs = Small(), jax.random.randint(jax.random.key(0), (6, 9, 8, 2), 0, 5)
    params = net.init(jax.random.key(1), obs[0])
    loss = lambda out: (out.logits[:, 0] * 2 + out.value).sum()  # noqa: E731
    layers, found = factors(net, params, obs, loss)
    slopes, inputs = jax.jit(lambda p: slopes_and_inputs(net, layers, p, obs, loss))(params)
    assert list(layers) == ["first", "second", "mixed", "logits", "value"]
    windows = {"first": ((3, 3), 2, ((0, 0), (0, 0))), "second": ((3, 2), 1, ((1, 1), (0, 1)))}
    for name, window in windows.items():
        got = found[name]
        rows = np.stack([numpy_rows(np.asarray(x, np.float64), *window) for x in inputs[name]])
        rows = np.concatenate([rows, np.ones((*rows.shape[:2], 1))], -1) if layers[name].bias else rows
        g = np.asarray(slopes[name], np.float64).reshape(6, rows.shape[1], -1)
        np.testing.assert_allclose(got.a, sum(r.T @ r for r in rows) / 6, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(got.g, sum(s.T @ s for s in g) / 6 / rows.shape[1], rtol=1e-4, atol=1e-6)
    # inputs and slopes belong together: summed over places they are the gradient of the weights
    out, pull, _ = kfac.watched(net, layers, params, obs)
    pulled = pull(jax.grad(loss)(out))[0]
    grads = jax.jit(jax.grad(lambda p: loss(jax.vmap(net.apply, (None, 0))(p, obs))))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), pulled, grads)
    blocks = kfac.as_blocks(layers, grads)
    for name, layer in layers.items():
        rows = np.asarray(jax.vmap(lambda x, layer=layer: kfac.rows(layer, x))(inputs[name]))
        rows = np.concatenate([rows, np.ones((*rows.shape[:2], 1))], -1) if layer.bias else rows
        g = np.asarray(slopes[name]).reshape(*rows.shape[:2], -1)
        np.testing.assert_allclose(np.einsum("npi,npk->ik", rows, g), blocks[name], rtol=1e-3, atol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, kfac.as_params(layers, blocks, grads), grads)


def test_one_step_on_a_linear_critic_solves_least_squares():
    """K-FAC is exact there: the natural gradient is Gauss-Newton's, whatever the scale of the inputs."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(64, 4)) * [1, 5, 0.5, 3], jnp.float32)
    target = x @ jnp.array([1.0, -2.0, 30.0, 0.5]) + 7
    net = Linear()
    params = net.init(jax.random.key(0), x[0])
    layers, fresh = factors(net, params, x, lambda out: out.value.sum())  # slope 1: the exact factor
    grads = jax.grad(lambda p: 0.5 * ((jax.vmap(net.apply, (None, 0))(p, x).value - target) ** 2).mean())(params)
    only = {"value": layers["value"]}
    state = kfac.init(only, params)
    step, state, scale = kfac.update(
        state, {"value": kfac.as_blocks(layers, grads)["value"]}, {"value": fresh["value"]}, learning_rate=1.0,
        **{**SETTINGS, "damping": 1e-9},
    )
    assert scale == 1.0
    weights = kfac.as_blocks(layers, params)["value"] + step["value"]
    np.testing.assert_allclose(weights[:, 0], [1, -2, 30, 0.5, 7], rtol=2e-2, atol=2e-2)


def test_a_step_is_the_damped_natural_gradient_within_the_trust_region():
    rng = np.random.default_rng(1)
    a, g = (rng.normal(size=(2 * n, n)) for n in (5, 3))
    fresh = kfac.Factors(*(jnp.asarray(m.T @ m / len(m), jnp.float32) for m in (a, g)))
    grad = jnp.asarray(rng.normal(size=(5, 3)), jnp.float32)
    zero = jax.tree.map(jnp.zeros_like, fresh)
    state = kfac.KFACState(jnp.zeros((), jnp.int32), {"w": zero}, {"w": zero}, {"w": jnp.zeros((5, 3))})
    settings = {**SETTINGS, "damping": 0.3, "momentum": 0.8}
    step, state, scale = kfac.update(state, {"w": grad}, {"w": fresh}, learning_rate=0.25, **settings)
    share = np.sqrt((np.trace(fresh.a) / 5) / (np.trace(fresh.g) / 3))
    damped = np.kron(fresh.a + share * np.sqrt(0.3) * np.eye(5), fresh.g + np.sqrt(0.3) / share * np.eye(3))
    natural = np.linalg.solve(damped, np.asarray(grad).reshape(-1))
    np.testing.assert_allclose(step["w"].reshape(-1), -0.2 * 0.25 * natural, rtol=1e-3, atol=1e-5)
    # the trust region: half of v'Fv, scaled, is the largest change
    narrow = {**settings, "max_kl": 1e-3, "momentum": 0.0}
    kept = state.inverses
    step, state, scale = kfac.update(state, {"w": grad}, {"w": fresh}, learning_rate=0.25, **narrow)
    v = np.asarray(step["w"]).reshape(-1)
    np.testing.assert_allclose(0.5 * v @ damped @ v, 1e-3, rtol=1e-3)
    assert scale < 0.25
    jax.tree.map(np.testing.assert_array_equal, state.inverses, kept)  # every third update only
    np.testing.assert_allclose(state.factors["w"].a, (0.9 * 0.1 + 0.1) * fresh.a, rtol=1e-5)


@pytest.mark.parametrize("name", ["nature", "minatar", "coinrun", "daqn", "rs", "sparse-fls-each-conv", "dense-fls-sum-pool"])
def test_every_parameter_of_the_networks_belongs_to_a_layer(name):
    obs = jnp.zeros({"minatar": (10, 10, 4), "coinrun": (64, 64, 3)}.get(name, (84, 84, 4)), jnp.uint8)
    net = networks.make(name, 4)
    params = jax.eval_shape(net.init, jax.random.key(0), obs)
    layers = kfac.find_layers(net, params, obs)
    blocks = jax.eval_shape(lambda p: kfac.as_blocks(layers, p), params)
    assert sum(b.size for b in blocks.values()) == sum(p.size for p in jax.tree.leaves(params))


class Odd(nn.Module):
    kind: str

    @nn.compact
    def __call__(self, obs):
        if self.kind == "twice":
            layer = nn.Dense(3, name="again")
            return Output(logits=layer(layer(obs)))
        if self.kind == "grouped":
            return Output(logits=nn.Conv(3, (2, 2), feature_group_count=3, name="parts")(obs).sum((0, 1)))
        return Output(logits=obs * self.param("gain", nn.initializers.ones, (3,)))


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        ("twice", (3,), "layer 'again' is used twice for one observation"),
        ("grouped", (4, 4, 3), "'parts': K-FAC knows two-dimensional convolutions"),
        ("gain", (3,), r"Odd has other parameters: \['gain'\]"),
    ],
)
def test_what_kfac_does_not_know_is_refused(kind, shape, message):
    net, obs = Odd(kind), jnp.zeros(shape)
    params = jax.eval_shape(net.init, jax.random.key(0), obs)
    with pytest.raises(ValueError, match=message):
        kfac.find_layers(net, params, obs)


def test_several_seeds_are_inverted_one_after_the_other():
    factors = kfac.Factors(jnp.stack([jnp.eye(3)] * 2), jnp.stack([2 * jnp.eye(4)] * 2))
    found = decompositions(jax.vmap(kfac.inverted, (0, None)), factors, 0.1)
    assert found
    assert not any(found)
    several = jax.vmap(kfac.inverted, (0, None))(factors, 0.1)
    one = kfac.inverted(jax.tree.map(lambda x: x[0], factors), 0.1)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b), several, one)
