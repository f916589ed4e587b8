"""Deep Q-learning finds values that are known, whatever of it is switched on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rljax_viz import networks
from rljax_viz.agents import ALGORITHMS, DQN, Batch, act, td_target, train
from rljax_viz.agents.dqn import dqn_loss, make_train
from rljax_viz.networks import Output

from .toys import Tiny, TinyMemory, contextual_bandit, late_reset, two_steps

QUICK = DQN(
    steps=16 * 16 * 40, num_steps=16, replay_size=16 * 64, learn_start=64, learn_every=4, batch_size=32, learning_rate=5e-3,
    target_every=20, epsilon_fraction=0.3, epsilon_end=0.1,
)  # fmt: skip


class TinyQ(nn.Module):
    """One hidden layer over a flat observation, q."""

    num_actions: int

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = nn.tanh(nn.Dense(32)(obs.reshape(-1).astype(jnp.float32) / 255))
        return Output(q=nn.Dense(self.num_actions)(x))


def learned(config: DQN, env):
    network = TinyQ(env.num_actions)
    state, metrics = jax.jit(lambda key: train(make_train(config, env, network), key))(jax.random.key(0))
    colours = jnp.stack([jnp.zeros((2, 2, 1)).at[c].set(255) for c in range(2)]).astype(jnp.uint8)
    return jax.vmap(network.apply, (None, 0))(state.params, colours).q, state, metrics


@pytest.mark.parametrize(
    "changes",
    [{}, {"double": True, "n_step": 2}, {"prioritised": True, "double": True}],
    ids=["plain", "double, 2 steps", "prioritised"],
)
def test_the_bandit_has_its_values(changes):
    q, state, metrics = learned(dataclasses.replace(QUICK, **changes), contextual_bandit())
    np.testing.assert_allclose(q, np.eye(2), atol=0.1)
    assert metrics.parts["epsilon"][0] > metrics.parts["epsilon"][-1] and state.replay.count == 16 * 40
    late = metrics.episodes.return_sum[-5:].sum() / metrics.episodes.count[-5:].sum()
    assert late > 0.9  # one action in ten is random


@pytest.mark.parametrize("changes", [{}, {"n_step": 3, "double": True}, {"prioritised": True}], ids=str)
def test_values_flow_back_in_time(changes):
    q, *_ = learned(dataclasses.replace(QUICK, discount=0.5, **changes), two_steps())
    np.testing.assert_allclose(q, [[0.5, 0.5], [1.0, 1.0]], atol=0.08)


def test_steps_that_only_reset_teach_nothing():
    q, *_ = learned(QUICK, late_reset())
    np.testing.assert_allclose(q, np.eye(2), atol=0.12)


def test_target_against_numpy():
    rng = np.random.default_rng(0)
    reward, discount = rng.normal(size=6).astype(np.float32), np.array([0.9, 0, 0.9, 0.9, 0, 0.9], np.float32)
    online, target = rng.normal(size=(2, 6, 3)).astype(np.float32)
    batch = Batch(None, None, reward, discount, None, None, None)
    for double, chooser in ((False, target), (True, online)):
        expected = reward + discount * target[np.arange(6), chooser.argmax(1)]
        np.testing.assert_allclose(td_target(batch, online, target, double), expected, rtol=1e-6)


def test_the_loss_is_hubers_and_its_gradient_stops_at_the_target():
    net = TinyQ(2)
    obs = jnp.asarray(np.random.default_rng(0).integers(0, 256, (4, 2, 2, 1)), jnp.uint8)
    params, ones = net.init(jax.random.key(0), obs[0]), jnp.ones(4)
    policy = jax.vmap(net.apply, (None, 0))
    action, reward, weight = jnp.array([0, 1, 1, 0]), jnp.array([5.0, 0.1, 0.2, -3.0]), jnp.array([1.0, 1.0, 0.0, 1.0])
    batch = Batch(obs, action, reward, 0 * ones, obs, weight, None)
    loss, (error, _) = dqn_loss(DQN(), policy, params, params, batch)
    q = np.asarray(policy(params, obs).q)[np.arange(4), [0, 1, 1, 0]]
    e = q - np.asarray(batch.reward)
    huber = np.where(np.abs(e) <= 1, 0.5 * e**2, np.abs(e) - 0.5)
    np.testing.assert_allclose(error, e, rtol=1e-5)
    np.testing.assert_allclose(loss, (huber * [1, 1, 0, 1]).sum() / 3, rtol=1e-5)
    bootstrapped = batch._replace(discount=ones)
    inside = jax.grad(lambda p: dqn_loss(DQN(), policy, p, p, bootstrapped)[0])(params)
    outside = jax.grad(lambda p: dqn_loss(DQN(), policy, p, params, bootstrapped)[0])(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), inside, outside)


def test_epsilon_is_the_part_of_random_actions():
    q = jnp.tile(jnp.array([[0.0, 1.0, 0.0, 0.0]]), (4000, 1))
    assert (act(jax.random.key(0), q, 0.0) == 1).all()
    np.testing.assert_allclose((act(jax.random.key(0), q, 0.4) == 1).mean(), 0.6 + 0.1, atol=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_step": 0}, "n_step is 0, expected 1 or more"),
        ({"discount": 1.5}, "discount is 1.5, expected between 0 and 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, expected more than 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DQN(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 10}, "less than one update"),
        ({"learn_every": 3}, "learn_every=3 neither divides 16"),
        ({"learn_every": 48}, "do not divide by learn_every=48; take num_steps=15"),
        ({"replay_size": 300_000}, "on a CPU take 200000 or less"),
        ({"learn_start": 2000}, "do not fit into replay_size=1024"),
    ],
)
def test_settings_that_do_not_suit_the_games_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_train(dataclasses.replace(QUICK, **changes), contextual_bandit(), TinyQ(2))


def test_networks_without_what_is_learned_are_refused():
    from rljax_viz.agents import make_train as make_ppo

    with pytest.raises(ValueError, match="Tiny has no q-values"):
        make_train(QUICK, contextual_bandit(), Tiny(2))
    with pytest.raises(ValueError, match="TinyMemory remembers, and DQN does not learn that; take --algo drqn"):
        make_train(QUICK, contextual_bandit(), TinyMemory(2, q=True))
    with pytest.raises(ValueError, match=r"takes off a mean frame that only i-DQN finds: .*nature-q"):
        make_train(QUICK, contextual_bandit(), networks.make("minatar-idqn", 2))
    with pytest.raises(ValueError, match="TinyQ has no logits and value"):
        make_ppo(dataclasses.replace(ALGORITHMS["ppo"].config, steps=10**6), contextual_bandit(), TinyQ(2))
