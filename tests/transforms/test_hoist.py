"""What does not need the memory is cut off, equal to the whole in values and gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.agents.recurrent_ppo import Sequences, over_time, zero_carry
from rljax_viz.transforms import fast_convs, hoist


def test_what_needs_no_carry_runs_before_the_loop():
    def f(params, obs, carry):
        w, u, b = params

        def one(carry, x):
            seen = jnp.tanh((2 * w) @ x) * x.sum()
            carry = jax.jit(lambda c: jnp.tanh((u + u.T) @ c + seen + b))(carry)
            return carry, {"h": carry, "seen": seen, "b": 2 * b}

        return jax.lax.scan(one, carry, obs, reverse=True)

    rng = np.random.default_rng(0)
    params = [jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((4, 3), (4, 4), (4,))]
    obs, carry = jnp.asarray(rng.normal(size=(6, 3)), jnp.float32), jnp.ones(4)
    want, got = (g(params, obs, carry) for g in (f, hoist(f)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), got, want)
    (loop,) = [eqn for eqn in jax.make_jaxpr(hoist(f))(params, obs, carry).eqns if eqn.primitive.name == "scan"]
    inside = str(loop.params["jaxpr"])
    assert inside.count("dot_general") == 1
    assert "transpose" not in inside  # nor what hangs on the weights alone
    slopes = [jax.grad(lambda p, f=f: f(p, obs, carry)[1]["h"].sum())(params) for f in (f, hoist(f))]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *slopes)


def test_loops_that_would_gain_nothing_stay():
    def f(w, xs):
        return jax.lax.scan(lambda c, x: (jnp.tanh(w @ c + x.astype(jnp.float32)), c), jnp.ones(3), xs)

    given = jnp.eye(3), jnp.ones((5, 3), jnp.uint8)
    assert str(jax.make_jaxpr(hoist(f))(*given)) == str(jax.make_jaxpr(f)(*given))


def test_effects_keep_their_place():
    told = []

    def f(w, xs):
        def one(c, x):
            jax.debug.callback(lambda x: told.append(float(x)), x, ordered=True)
            return c + (w @ jnp.full(3, x)).sum(), None

        return jax.lax.scan(one, 0.0, xs)[0]

    hoist(f)(jnp.eye(3), jnp.arange(3.0))
    jax.effects_barrier()
    assert told == [0.0, 1.0, 2.0]


def test_a_bidirectional_lstm_and_its_gradient():
    both = [nn.RNN(nn.OptimizedLSTMCell(5), name=name) for name in ("forward", "backward")]
    net, x = nn.Bidirectional(*both), jax.random.normal(jax.random.key(0), (4, 3, 6))
    params = net.init(jax.random.key(1), x[0])
    loss = lambda f: jax.jit(jax.value_and_grad(lambda p: (jax.vmap(f, (None, 0))(p, x) ** 2).sum()))  # noqa: E731
    (want, slopes), (got, ours) = (loss(f)(params) for f in (net.apply, hoist(net.apply)))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, slopes)
    text = str(jax.make_jaxpr(hoist(net.apply))(params, x[0]))
    assert text.count("scan[") == 2 and text.count("dot_general") == 4


@pytest.mark.parametrize(
    ("name", "fast"), [("minatar-darqn", False), ("minatar-lstm", False), pytest.param("drqn", True, marks=pytest.mark.slow)]
)
def test_a_sequence_of_a_network_that_remembers(name, fast):
    size, time, games = ((84, 84, 1) if name == "drqn" else (10, 10, 4)), 4, 3
    net, rng = networks.make(name, 3), np.random.default_rng(0)
    obs = rng.integers(0, 256, (time, games, *size)).astype(np.uint8)
    params = net.init(jax.random.key(0), obs[0, 0])
    apply = fast_convs(net.apply) if fast else net.apply
    step, carry = jax.vmap(apply, (None, 0, 0)), jax.tree.map(lambda x: x + 0.1, zero_carry(net, params, obs[0, 0], games))
    fresh = np.zeros((time, games), bool)
    fresh[2, 1] = True

    def naive(params):
        memory, total = carry, 0.0
        for t in range(time):
            memory = jax.tree.map(lambda x, t=t: jnp.where(fresh[t][:, None], 0.0, x), memory)
            out = step(params, obs[t], memory)
            memory, total = out.carry, total + (jnp.arange(1.0, games + 1) * out.value).sum() * (t + 1)
        return total

    def ours(params):
        value = over_time(step, params, Sequences(jnp.asarray(obs), jnp.asarray(fresh), carry)).value
        weights = jnp.outer(jnp.arange(1.0, time + 1), jnp.arange(1.0, games + 1))
        return (weights * value.reshape(time, games)).sum()

    (want, slopes), (got, ours_slopes) = (jax.jit(jax.value_and_grad(f))(params) for f in (naive, ours))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(slopes))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * largest), ours_slopes, slopes)
    inside = [eqn for eqn in jax.make_jaxpr(ours)(params).jaxpr.eqns if eqn.primitive.name == "scan"]
    assert len(inside) == 1
    if not fast:  # there fully connected layers are convolutions of one place
        assert "conv" not in str(inside[0].params["jaxpr"])
