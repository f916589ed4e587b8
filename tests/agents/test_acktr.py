"""ACKTR solves what PPO solves, and keeps to its trust region."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.agents import ACKTR, find_algorithm, train
from rljax_viz.agents.acktr import make_train
from tests.agents.test_dqn import TinyQ
from tests.agents.test_ppo import COLOURS
from tests.agents.toys import Tiny, contextual_bandit, late_reset, two_steps

QUICK = ACKTR(steps=16 * 20 * 80, max_kl=0.01, entropy_coef=0.0, inverse_every=5)


def solve(config, env):
    net = Tiny(env.num_actions)
    state, metrics = jax.jit(lambda key: train(make_train(config, env, net), key))(jax.random.key(0))
    return jax.vmap(net.apply, (None, 0))(state.params, COLOURS), state, metrics


def test_the_bandit_is_solved_within_the_trust_region():
    out, state, metrics = solve(QUICK, contextual_bandit())
    probability = jax.nn.softmax(out.logits)
    assert probability[0, 0] > 0.95 and probability[1, 1] > 0.95
    np.testing.assert_allclose(out.value, 1.0, atol=0.1)
    assert state.kfac.count == 80 and metrics.episodes.return_sum[-1] / metrics.episodes.count[-1] > 0.95
    assert metrics.approx_kl.max() < 0.05  # a hundredth was asked of the quadratic model
    assert (metrics.step_scale <= QUICK.learning_rate).all() and (metrics.step_scale < 0.2).any()


@pytest.mark.slow
def test_the_value_of_a_delayed_reward_is_discounted():
    out, *_ = solve(dataclasses.replace(QUICK, discount=0.5), two_steps())
    np.testing.assert_allclose(out.value, [0.5, 1.0], atol=0.1)


@pytest.mark.slow
def test_steps_that_only_reset_teach_nothing():
    out, *_ = solve(QUICK, late_reset())
    probability = jax.nn.softmax(out.logits)
    assert probability[0, 0] > 0.95 and probability[1, 1] > 0.95  # the lie says: always action 0


@pytest.mark.long
def test_seeds_are_a_vmap():
    env = contextual_bandit(4)
    algorithm = make_train(dataclasses.replace(QUICK, steps=4 * 20 * 3), env, Tiny(2))
    keys = jax.random.split(jax.random.key(3), 2)
    together, _ = jax.jit(jax.vmap(lambda key: train(algorithm, key)))(keys)
    alone, _ = jax.jit(lambda key: train(algorithm, key))(keys[1])
    for a, b in zip(jax.tree.leaves(together.params), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(a[1], b, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_kl": 0.0}, "max_kl is 0.0, expected more than 0"),
        ({"decay": 2.0}, "decay is 2.0, expected between 0 and 1"),
        ({"value_coef": -1.0}, "value_coef is -1.0, expected 0 or more"),
        ({"momentum": 1.0}, "momentum is 1: nothing would ever be learned"),
    ],
)
def test_settings_without_meaning_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ACKTR(**changes)


def test_it_stands_in_the_registry_and_refuses_less_than_one_update():
    entry = find_algorithm("acktr")
    with pytest.raises(ValueError, match="steps=100 is less than one update: 20 x 8"):
        entry.make_train(dataclasses.replace(entry.config, steps=100), contextual_bandit(8), Tiny(2))
    with pytest.raises(ValueError, match="TinyQ has no logits and value, and ppo, a2c, a3c and acktr learn both"):
        entry.make_train(entry.config, contextual_bandit(8), TinyQ(2))
    assert jnp.isclose(entry.config.learning_rate, 0.25)
