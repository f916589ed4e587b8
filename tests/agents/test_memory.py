"""Agents that remember solve what others cannot: a cue that was shown some steps ago."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rljax_viz import envs, networks
from rljax_viz.agents import A2C, PPO, find_algorithm, make_train, train
from rljax_viz.agents.dqn import make_train as make_dqn
from rljax_viz.agents.drqn import DRQN
from rljax_viz.agents.drqn import make_train as make_drqn
from rljax_viz.agents.recurrent_ppo import Sequences, is_recurrent, over_time
from rljax_viz.envs import stacked
from rljax_viz.networks.drqn import DRQN as RecurrentQ
from rljax_viz.networks.drqn import SplitAttention

from .test_dqn import QUICK as DQN
from .test_dqn import TinyQ
from .toys import Tiny, TinyMemory, remember_cue

QUICK = PPO(steps=16 * 16 * 150, num_steps=16, learning_rate=1e-2, num_minibatches=2, entropy_coef=0.001, discount=0.9)
WINDOWS = DRQN(
    steps=16 * 16 * 100, num_steps=16, replay_size=16 * 256, learn_start=512, learn_every=8, batch_size=32, window=8,
    warm_up=0, learning_rate=1e-2, target_every=50, epsilon_fraction=0.4, epsilon_end=0.02, discount=0.9,
)  # fmt: skip


def late_return(algorithm):
    state, metrics = jax.jit(lambda key: train(algorithm, key))(jax.random.key(0))
    return float(metrics.episodes.return_sum[-10:].sum() / metrics.episodes.count[-10:].sum()), state


SLOWER = dataclasses.replace(A2C, steps=16 * 8 * 800, num_steps=8, learning_rate=1e-2)


@pytest.mark.parametrize("config", [QUICK, SLOWER], ids=["ppo", "a2c"])
def test_a_memory_keeps_the_cue(config):
    assert late_return(make_train(config, remember_cue(), TinyMemory(2)))[0] > 0.9


def test_without_a_memory_it_is_lost():
    short = dataclasses.replace(QUICK, steps=16 * 16 * 60)
    assert abs(late_return(make_train(short, remember_cue(), Tiny(2)))[0] - 0.5) < 0.1


def test_drqn_keeps_the_cue():
    found, state = late_return(make_drqn(WINDOWS, remember_cue(), TinyMemory(2, q=True)))
    assert found > 0.9 and state.replay.count == 16 * 100


class Recurrent(nn.Module):
    """The small DRQN, or DARQN where it `attends`, over the toy, enlarged to what its convolution takes."""

    num_actions: int
    attends: bool

    @nn.compact
    def __call__(self, obs, carry=None):
        return RecurrentQ(self.num_actions, self.attends, small=True)(obs.repeat(2, 0).repeat(2, 1), carry)


@pytest.mark.parametrize(
    "attends",
    [pytest.param(False, id="drqn", marks=pytest.mark.slow), pytest.param(True, id="darqn", marks=pytest.mark.long)],
)
def test_the_recurrent_networks_keep_the_cue(attends):
    config = dataclasses.replace(WINDOWS, steps=16 * 16 * 40, learn_every=16, learning_rate=3e-3)
    assert late_return(make_drqn(config, remember_cue(), Recurrent(2, attends)))[0] > 0.9  # who forgets gets 1/2


class Window(nn.Module):
    """The small split-attention over `window` frames of the toy, enlarged to what its convolution takes."""

    num_actions: int
    window: int

    @nn.compact
    def __call__(self, obs):
        return SplitAttention(self.num_actions, small=True, window=self.window)(obs.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    ("window", "at_least", "at_most"),
    [pytest.param(5, 0.9, 1.0, id="window"), pytest.param(1, 0.4, 0.65, id="one frame", marks=pytest.mark.long)],
)
def test_split_attention_finds_the_cue_in_its_window(window, at_least, at_most):
    config = dataclasses.replace(
        DQN, double=True, steps=16 * 16 * 40, replay_size=16 * 256, learn_start=512, learn_every=32, batch_size=16,
        learning_rate=3e-3, epsilon_end=0.02, discount=0.9,
    )  # fmt: skip
    found, state = late_return(make_dqn(config, stacked(remember_cue(), window), Window(2, window)))
    assert at_least < found <= at_most and state.replay.frames.shape[2:] == (2, 2, 1)


def test_another_window_than_is_shown_is_refused():
    config, net = find_algorithm("split-attention").config, networks.make("minatar-split-attention", 6)
    with pytest.raises(ValueError, match=r"looks at 10 frames, and the game is shown as 1: .*stack=10"):
        make_dqn(config, envs.make("Seaquest-MinAtar", 8), net)  # ten planes, which are no ten frames


def test_sequences_are_gone_through_step_by_step_and_emptied_where_episodes_begin():
    net, rng = TinyMemory(2), np.random.default_rng(0)
    obs = rng.integers(0, 256, (5, 3, 2, 2, 1)).astype(np.uint8)
    fresh = np.zeros((5, 3), bool)
    fresh[3, 1] = True
    params = net.init(jax.random.key(0), obs[0, 0])
    carry = tuple(jnp.asarray(rng.normal(size=(3, 16)), jnp.float32) for _ in range(2))
    outs = over_time(jax.vmap(net.apply, (None, 0, 0)), params, Sequences(jnp.asarray(obs), jnp.asarray(fresh), carry))
    for game in range(3):
        memory = jax.tree.map(lambda x, g=game: x[g], carry)
        for t in range(5):
            out = net.apply(params, obs[t, game], None if fresh[t, game] else memory)
            memory = out.carry
            np.testing.assert_allclose(outs.logits.reshape(5, 3, 2)[t, game], out.logits, atol=1e-6)


def test_new_games_empty_the_memory_and_break_the_replay_off():
    ppo, drqn = make_train(QUICK, remember_cue(), TinyMemory(2)), make_drqn(WINDOWS, remember_cue(), TinyMemory(2, q=True))
    for algorithm in (ppo, drqn):
        state = jax.jit(algorithm.init)(jax.random.key(0))
        state = state._replace(fresh=jnp.zeros(16, bool))
        again = algorithm.begin(state, *remember_cue().reset(jax.random.key(1)))
        assert again.fresh.all() and "carry" in algorithm.games
    assert again.replay.cut[-1].all() and not again.replay.cut[:-1].any()  # the row before the next one


def test_who_remembers_is_known_without_running_anything():
    assert is_recurrent(TinyMemory(2), (2, 2, 1)) and not is_recurrent(Tiny(2), (2, 2, 1))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not divide into 3 minibatches: with a memory"):
        make_train(dataclasses.replace(QUICK, num_minibatches=3), remember_cue(), TinyMemory(2))
    with pytest.raises(ValueError, match="TinyQ remembers nothing"):
        make_drqn(WINDOWS, remember_cue(), TinyQ(2))
    with pytest.raises(ValueError, match="TinyMemory has no logits and value, and ppo, a2c, a3c and acktr learn both"):
        make_train(SLOWER, remember_cue(), TinyMemory(2, q=True))
    with pytest.raises(ValueError, match="leaves none to learn from"):
        DRQN(window=3, warm_up=2)
    with pytest.raises(ValueError, match="n_step=1"):
        DRQN(n_step=2)
