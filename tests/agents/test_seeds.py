"""Several seeds by `vmap`, of networks that are not ours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rljax_viz.agents import find_algorithm
from rljax_viz.networks import Output
from tests.agents.toys import contextual_bandit
from tests.networks.test_networks import decompositions


class Own(nn.Module):
    """Actor, critic and q behind a layer that begins as flax has it: orthogonal, and not one seed after the other."""

    num_actions: int
    remembers: bool

    @nn.compact
    def __call__(self, obs: jax.Array, carry=None) -> Output:
        x = obs.reshape(-1).astype(jnp.float32) / 255
        x = nn.tanh(nn.Dense(8, kernel_init=nn.initializers.orthogonal())(x))
        if self.remembers:
            carry = (jnp.zeros(8), jnp.zeros(8)) if carry is None else carry
            carry, x = nn.OptimizedLSTMCell(8)(carry, x)
        out = nn.Dense(2 * self.num_actions + 1)(x)
        return Output(logits=out[: self.num_actions], q=out[self.num_actions : -1], value=out[-1], carry=carry)


@pytest.mark.parametrize(
    ("algo", "remembers"), [("ppo", False), ("acktr", False), ("dqn", False), ("a3c-lstm", True), ("drqn", True)]
)
def test_a_network_of_ones_own_begins_one_seed_after_the_other(algo, remembers):
    entry, env = find_algorithm(algo), contextual_bandit(8)
    learner = entry.make_train(entry.config, env, Own(env.num_actions, remembers))
    keys = jax.vmap(jax.random.key)(np.arange(2))
    found = decompositions(jax.vmap(learner.init), keys)
    assert found
    assert not any(found)
