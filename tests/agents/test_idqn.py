"""The four losses of i-DQN against numpy, the projection's laws, and a bandit whose values are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz import networks
from rljax_viz.agents import IDQN, diversity_over_actions, diversity_over_batch, project, train, upper_bound
from rljax_viz.agents.idqn import kl_to_normal, make_train, reconstruction_error
from rljax_viz.networks import Output, read_values

from .test_dqn import TinyQ
from .toys import contextual_bandit

RNG = np.random.default_rng(0)
EVEN = np.linspace(-25, 25, 20).astype(np.float32)
RANDOM = RNG.uniform(-25, 25, 20).astype(np.float32)


def law(n=20):
    p = RNG.random(n)
    return (p / p.sum()).astype(np.float32)


def c51(values, p, reward, discount):
    """Bellemare et al. 2017, algorithm 1, on an even grid."""
    low, step, out = values[0], (values[-1] - values[0]) / 19, np.zeros(len(values))
    for v, mass in zip(values, p, strict=True):
        b = round((np.clip(reward + discount * v, values[0], values[-1]) - low) / step, 6)
        below, above = int(np.floor(b)), int(np.ceil(b))
        if below == above:
            out[below] += mass
        else:
            out[below] += mass * (above - b)
            out[above] += mass * (b - below)
    return out


@pytest.mark.parametrize(("reward", "discount"), [(0.0, 1.0), (1.3, 0.99), (40.0, 0.9), (-7.7, 0.0)])
def test_the_projection_is_c51s_on_an_even_grid(reward, discount):
    p = law()
    np.testing.assert_allclose(project(EVEN, p, reward, discount), c51(EVEN.astype(float), p, reward, discount), atol=2e-6)


@pytest.mark.parametrize("values", [EVEN, RANDOM], ids=["even", "random"])
def test_the_projection_keeps_mass_and_mean(values):
    p = law()
    for reward, discount in [(0.5, 0.9), (-3.0, 0.99), (100.0, 1.0), (0.0, 0.0)]:
        out = np.asarray(jax.jit(project)(values, p, reward, discount), np.float64)
        moved = np.clip(reward + discount * values.astype(float), values.min(), values.max())
        assert out.min() >= 0
        np.testing.assert_allclose(out.sum(), 1, atol=1e-5)
        np.testing.assert_allclose(out @ values, p @ moved, atol=1e-4)


def test_the_projection_of_nothing_is_the_identity_and_hits_keep_their_mass():
    p = law()
    np.testing.assert_allclose(project(RANDOM, p, 0.0, 1.0), p, atol=1e-6)
    whole = np.arange(5, dtype=np.float32)
    np.testing.assert_allclose(project(whole, law(5) * 0 + 0.2, 1.0, 1.0), [0, 0.2, 0.2, 0.2, 0.4], atol=1e-6)


def test_uncertainty_is_the_standard_deviation_and_has_a_finite_gradient():
    w = np.stack([law() for _ in range(4)])
    q, u = read_values(w, EVEN)
    mean = w @ EVEN
    np.testing.assert_allclose(q, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(u, np.sqrt((w * (EVEN - mean[:, None]) ** 2).sum(1)), rtol=1e-4)
    sure = jnp.zeros(20).at[3].set(1.0)
    assert read_values(sure, EVEN)[1] == 0
    assert np.isfinite(jax.grad(lambda x: read_values(x, EVEN)[1])(sure)).all()


def test_exploration_prefers_the_uncertain():
    out = Output(q=jnp.array([1.0, 0.9, 0.0]), uncertainty=jnp.array([0.0, 1.0, 5.0]))
    assert [int(upper_bound(out, e)) for e in (0.0, 0.15, 1.0)] == [0, 1, 2]


def test_diversity_in_both_forms():
    w = np.stack([[law() for _ in range(3)] for _ in range(6)])
    action, mask = RNG.integers(0, 3, 6), np.ones(6, np.float32)
    a = w[np.arange(6), action]
    np.testing.assert_allclose(diversity_over_batch(w, action, mask), ((a @ a.T - np.eye(6)) ** 2).sum(), rtol=1e-5)
    s = w.reshape(6, -1).T
    np.testing.assert_allclose(diversity_over_actions(w, action, mask), ((s.T @ s - np.eye(6)) ** 2).sum() / 6, rtol=1e-5)
    some = mask.copy()
    some[2] = 0
    kept = np.delete(a, 2, 0)
    np.testing.assert_allclose(diversity_over_batch(w, action, some), ((kept @ kept.T - np.eye(5)) ** 2).sum(), rtol=1e-5)
    apart = np.eye(4, 20, dtype=np.float32)[:, None]
    assert diversity_over_batch(apart, np.zeros(4, int), mask[:4]) == 0


def test_reconstruction_is_a_sum_over_pixels_and_kl_is_the_closed_form():
    obs, mean = RNG.integers(0, 256, (4, 4, 2)).astype(np.uint8), RNG.random((4, 4, 2)).astype(np.float32) * 255
    image = RNG.normal(size=(4, 4, 2)).astype(np.float32)
    expected = 0.5 * ((image - (obs.astype(float) - mean) / 255) ** 2).sum()
    np.testing.assert_allclose(reconstruction_error(image, obs, mean), expected, rtol=1e-5)
    assert kl_to_normal(jnp.zeros(3), jnp.zeros(3)) == 0
    kl = kl_to_normal(jnp.array([1.0]), jnp.array([np.log(4.0)]))
    np.testing.assert_allclose(kl, 0.5 * (1 + 4 - 1 - np.log(4)), rtol=1e-6)


@pytest.mark.parametrize("values", ["even", "random"])
def test_the_bandit_has_its_values(values):
    env = contextual_bandit()
    env = dataclasses.replace(env, obs_shape=(4, 4, 1), reset=_larger(env.reset), step=_larger(env.step))
    net = networks.make("minatar-idqn", 2, low=-2.0, high=2.0, values=values)
    config = IDQN(
        steps=16 * 16 * 40, num_steps=16, replay_size=1024, learn_start=256, batch_size=32, learning_rate=2e-3,
        target_every=20, diversity=1e-4, exploration=0.1,
    )  # fmt: skip
    state, metrics = jax.jit(lambda key: train(make_train(config, env, net), key))(jax.random.key(1))
    obs = jnp.stack([_big(jnp.zeros((2, 2, 1)).at[c].set(255)) for c in range(2)]).astype(jnp.uint8)
    out = jax.vmap(net.apply, (None, 0))(state.params, obs)
    np.testing.assert_allclose(jnp.diagonal(out.q), 1.0, atol=0.15)  # the other actions are hardly tried
    assert (out.q.argmax(1) == jnp.arange(2)).all()
    assert metrics.parts["reconstruction"][-1] < 0.05 < metrics.parts["reconstruction"].max()
    mean = state.params["constants"]["mean"]
    seen = obs.astype(jnp.float32).mean(0)
    np.testing.assert_allclose(mean, seen, atol=30)
    np.testing.assert_array_equal(mean, state.target["constants"]["mean"])


def test_a_vae_learns_how_much_noise_its_decoder_bears():
    env = contextual_bandit()
    env = dataclasses.replace(env, obs_shape=(4, 4, 1), reset=_larger(env.reset), step=_larger(env.step))
    net = networks.make("minatar-idqn", 2, decoder="vae")
    config = IDQN(steps=16 * 16 * 4, num_steps=16, replay_size=1024, learn_start=256, learning_rate=2e-3)
    learner = make_train(config, env, net)
    state, metrics = jax.jit(lambda key: train(learner, key))(jax.random.key(1))
    before = learner.init(jax.random.key(1)).params["params"]["log_variance"]["bias"]
    assert (state.params["params"]["log_variance"]["bias"] < before).all()  # noise only harms where the KL weighs nothing
    assert np.isfinite(metrics.loss).all()


def _big(obs):
    return jnp.repeat(jnp.repeat(obs, 2, -3), 2, -2)


def _larger(step):
    def bigger(*args):
        state, t = step(*args)
        return state, t._replace(obs=_big(t.obs), info=t.info._replace(final_obs=_big(t.info.final_obs)))

    return bigger


def test_wrong_settings_and_networks_are_refused():
    with pytest.raises(ValueError, match="diversity_over is 'x', expected one of"):
        IDQN(diversity_over="x")
    with pytest.raises(ValueError, match="kl is -1, expected 0 or more"):
        IDQN(kl=-1)
    with pytest.raises(ValueError, match="TinyQ has no keys"):
        make_train(IDQN(), contextual_bandit(), TinyQ(2))
    with pytest.raises(ValueError, match=r"kl is 0\.01, and the decoder is 'ae'.*--set decoder=vae"):
        make_train(IDQN(kl=0.01), contextual_bandit(), networks.make("minatar-idqn", 2))
