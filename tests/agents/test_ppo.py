import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.agents import A2C, PPO, Transition, make_train, train
from rljax_viz.agents.ppo import Sample, ppo_loss
from rljax_viz.networks import Output
from tests.agents.toys import Tiny, contextual_bandit, late_reset, two_steps

QUICK = PPO(steps=16 * 32 * 60, num_steps=32, learning_rate=5e-3, num_minibatches=2, entropy_coef=0.0)
COLOURS = jnp.stack([jnp.array([[255, 255], [0, 0]]), jnp.array([[0, 0], [255, 255]])])[..., None].astype(jnp.uint8)


def solve(config, env, seed=0):
    net = Tiny(env.num_actions)
    state, metrics = jax.jit(lambda key: train(make_train(config, env, net), key))(jax.random.key(seed))
    return jax.vmap(net.apply, (None, 0))(state.params, COLOURS), metrics


def test_ppo_solves_the_contextual_bandit_and_knows_its_value():
    out, metrics = solve(QUICK, contextual_bandit())
    probability = jax.nn.softmax(out.logits)
    assert probability[0, 0] > 0.95 and probability[1, 1] > 0.95
    np.testing.assert_allclose(out.value, 1.0, atol=0.1)
    ended = metrics.episodes
    assert (ended.count == 16 * 32).all() and ended.return_sum[-1] / ended.count[-1] > 0.95


def test_a2c_solves_it_too():
    config = dataclasses.replace(A2C, steps=16 * 5 * 400, learning_rate=5e-3, entropy_coef=0.0)
    out, _ = solve(config, contextual_bandit())
    probability = jax.nn.softmax(out.logits)
    assert probability[0, 0] > 0.9 and probability[1, 1] > 0.9


def test_the_value_of_a_delayed_reward_is_discounted():
    out, _ = solve(dataclasses.replace(QUICK, discount=0.5), two_steps())
    np.testing.assert_allclose(out.value, [0.5, 1.0], atol=0.1)


def test_steps_that_only_reset_teach_nothing():
    out, metrics = solve(QUICK, late_reset())
    probability = jax.nn.softmax(out.logits)
    assert probability[0, 0] > 0.95 and probability[1, 1] > 0.95  # the lie says: always action 0
    np.testing.assert_allclose(out.value, 1.0, atol=0.15)
    assert (metrics.episodes.count == 16 * 16).all()


def test_seeds_are_a_vmap_and_agree_with_each_alone():
    env = contextual_bandit(4)
    algorithm = make_train(dataclasses.replace(QUICK, steps=4 * 32 * 3), env, Tiny(2))
    keys = jax.random.split(jax.random.key(3), 3)
    together, _ = jax.jit(jax.vmap(lambda key: train(algorithm, key)))(keys)
    for k in range(3):
        alone, _ = jax.jit(lambda key: train(algorithm, key))(keys[k])
        for a, b in zip(jax.tree.leaves(together.params), jax.tree.leaves(alone.params), strict=True):
            np.testing.assert_allclose(a[k], b, atol=1e-4)


def test_annealing_brings_the_step_to_zero_at_the_end():
    env = contextual_bandit(4)
    config = dataclasses.replace(QUICK, steps=4 * 32 * 2)
    algorithm = make_train(config, env, Tiny(2))
    state = algorithm.init(jax.random.key(0))
    update = jax.jit(algorithm.update)
    for _ in range(2):
        state, _ = update(state)
    beyond, _ = update(state)  # the learning rate is 0 from here on
    jax.tree.map(np.testing.assert_array_equal, beyond.params, state.params)


def numpy_loss(config, logits, value, old, advantage, target, clip):
    """Schulman et al. 2017, eq. 7 and 9, and Baselines' value loss, over the valid samples only."""
    ok = np.asarray(old.valid)
    logits, value = np.asarray(logits, np.float64)[ok], np.asarray(value, np.float64)[ok]
    advantage, target = np.asarray(advantage, np.float64)[ok], np.asarray(target, np.float64)[ok]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    log_prob = log_probs[np.arange(ok.sum()), np.asarray(old.action)[ok]]
    ratio = np.exp(log_prob - np.asarray(old.log_prob, np.float64)[ok])
    policy = -np.minimum(ratio * advantage, np.clip(ratio, 1 - clip, 1 + clip) * advantage).mean()
    was = np.asarray(old.value, np.float64)[ok]
    near = was + np.clip(value - was, -clip, clip)
    critic = 0.5 * np.maximum((value - target) ** 2, (near - target) ** 2).mean()
    entropy = -(np.exp(log_probs) * log_probs).sum(-1).mean()
    return policy + config.value_coef * critic - config.entropy_coef * entropy


def test_the_loss_is_the_papers():
    rng = np.random.default_rng(0)
    n, actions, config, clip = 40, 3, PPO(), 0.2
    f32 = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    logits, value = f32(n, actions), f32(n)
    old = Transition(
        obs=jnp.zeros((n, 1)), action=jnp.asarray(rng.integers(0, actions, n)), reward=f32(n), done=jnp.zeros(n, bool),
        valid=jnp.asarray(rng.random(n) < 0.8), value=value + 0.5 * f32(n), log_prob=-jnp.abs(f32(n)),
    )  # fmt: skip
    sample = Sample(old, f32(n), f32(n))
    loss, _ = ppo_loss(config, lambda params, obs: Output(logits=logits, value=value), None, sample, jnp.asarray(clip))
    want = numpy_loss(config, logits, value, old, sample.advantage, sample.target, clip)
    np.testing.assert_allclose(loss, want, rtol=1e-5)


@pytest.mark.parametrize(
    "changes, message",
    [({"epochs": 0}, "epochs is 0, expected 1 or more"), ({"discount": 1.5}, "discount is 1.5, expected between 0 and 1")],
)
def test_settings_without_meaning_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        PPO(**changes)


def test_a_training_of_less_than_one_update_is_refused():
    with pytest.raises(ValueError, match="steps=100 is less than one update"):
        make_train(PPO(steps=100), contextual_bandit(8), Tiny(2))
