import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.agents import gae


def reference(reward, value, done, last_value, discount, lam):
    """The sum of Schulman et al. 2016, eq. 16, written out: every later delta until the episode ends."""
    steps = len(reward)
    following = np.append(value[1:], last_value)
    delta = reward + discount * following * (1 - done) - value
    out = np.zeros(steps)
    for t in range(steps):
        weight = 1.0
        for k in range(t, steps):
            out[t] += weight * delta[k]
            if done[k]:
                break
            weight *= discount * lam
    return out


@pytest.mark.parametrize("lam", [0.0, 0.9, 1.0])
def test_gae_is_the_written_out_sum(lam):
    rng = np.random.default_rng(0)
    reward, value, last = rng.normal(size=12), rng.normal(size=12), rng.normal()
    done = rng.random(12) < 0.3
    want = reference(reward, value, done, last, 0.97, lam)
    f32 = lambda x: jnp.asarray(x, jnp.float32)  # noqa: E731
    got = jax.jit(gae)(f32(reward), f32(value), jnp.asarray(done), f32(last), 0.97, lam)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_gae_of_a_batch_is_that_of_each_column():
    key = jax.random.key(1)
    reward, value = jax.random.normal(key, (2, 7, 3))
    done, last = jnp.zeros((7, 3), bool).at[3].set(True), jnp.ones(3)
    whole = gae(reward, value, done, last, 0.9, 0.8)
    for b in range(3):
        np.testing.assert_allclose(whole[:, b], gae(reward[:, b], value[:, b], done[:, b], last[b], 0.9, 0.8), rtol=1e-6)


def test_nothing_flows_back_over_the_end_of_an_episode():
    reward, value, done = jnp.zeros(5), jnp.zeros(5), jnp.zeros(5, bool).at[2].set(True)
    later = gae(reward.at[4].set(1e6), value, done, jnp.asarray(1e6), 0.99, 0.95)
    np.testing.assert_array_equal(later[:3], 0)
    assert later[3] > 0


def test_lambda_one_is_the_discounted_return_minus_the_value():
    reward, value = jnp.array([1.0, 2.0, 4.0]), jnp.array([0.5, 0.25, 0.125])
    got = gae(reward, value, jnp.zeros(3, bool), jnp.asarray(8.0), 0.5, 1.0)
    np.testing.assert_allclose(got, jnp.array([1 + 1 + 1 + 1.0, 2 + 2 + 2.0, 4 + 4.0]) - value, rtol=1e-6)
