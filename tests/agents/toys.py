"""Environments whose right value is known, small enough to be solved in seconds."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from rljax_viz.envs import Env, Info, Preset, Timestep
from rljax_viz.networks import Output


class Tiny(nn.Module):
    """One hidden layer over a flat observation, actor and critic."""

    num_actions: int

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = nn.tanh(nn.Dense(32)(obs.reshape(-1).astype(jnp.float32) / 255))
        return Output(logits=nn.Dense(self.num_actions)(x), value=nn.Dense(1)(x)[0])


def toy(num_envs: int, num_actions: int, first, transition) -> Env:
    """An Env of `num_envs` copies: `first(key) -> x`, `transition(key, x, action) -> (x, reward, done)`, x [2] int."""

    def show(x):
        row = jnp.where(jnp.arange(2) == x[0], 255, 0).astype(jnp.uint8)
        return jnp.broadcast_to(row[:, None, None], (2, 2, 1))

    def timestep(x, final, reward, done, total, length):
        info = Info(jax.vmap(show)(final), jnp.ones(num_envs, bool), done, total, length, {})
        return Timestep(jax.vmap(show)(x), reward, done, jnp.zeros(num_envs, bool), info)

    def reset(key):
        key, key_first = jax.random.split(key)
        x = jax.vmap(first)(jax.random.split(key_first, num_envs))
        zero, no = jnp.zeros(num_envs), jnp.zeros(num_envs, bool)
        return (key, x, zero, zero.astype(int)), timestep(x, x, zero, no, zero, zero.astype(int))

    def step(state, action):
        key, x, total, length = state
        key, key_step, key_first = jax.random.split(key, 3)
        moved, reward, done = jax.vmap(transition)(jax.random.split(key_step, num_envs), x, action)
        fresh = jax.vmap(first)(jax.random.split(key_first, num_envs))
        total, length = total + reward, length + 1
        x = jnp.where(done[:, None], fresh, moved)
        out = timestep(x, moved, reward, done, total, length)
        return (key, x, jnp.where(done, 0.0, total), jnp.where(done, 0, length)), out

    names = tuple(str(i) for i in range(num_actions))
    return Env(reset, step, num_envs, num_actions, (2, 2, 1), names, Preset("toy"))


def contextual_bandit(num_envs: int = 16) -> Env:
    """Reward 1 for the action that the colour names: the optimal return is 1, the value of either colour 1."""
    first = lambda key: jnp.stack([jax.random.randint(key, (), 0, 2), 0])  # noqa: E731
    return toy(num_envs, 2, first, lambda key, x, a: (x, (a == x[0]).astype(jnp.float32), jnp.array(True)))


def two_steps(num_envs: int = 16) -> Env:
    """Two steps, reward 1 at the end whatever is done: values are 1 in the second colour and gamma in the first."""
    first = lambda key: jnp.zeros(2, int)  # noqa: E731
    return toy(num_envs, 2, first, lambda key, x, a: (x + 1, x[0].astype(jnp.float32), x[0] == 1))


def late_reset(num_envs: int = 16) -> Env:
    """The bandit, but every second step is only a reset, as envpool does it, and lies: reward 100 for action 0.

    Only a learner that multiplies `valid` in can solve it.
    """
    env = contextual_bandit(num_envs)

    def reset(key):
        state, timestep = env.reset(key)
        return (state, timestep.obs, jnp.zeros((), bool)), timestep

    def step(state, action):
        inner, obs, resetting = state
        moved, out = env.step(inner, action)
        held = jax.tree.map(lambda a, b: jnp.where(resetting, a, b), (inner, obs), (moved, out.obs))
        lie = jnp.where(resetting, 100.0 * (action == 0), out.reward)
        no, real = jnp.zeros(num_envs, bool), jnp.broadcast_to(~resetting, (num_envs,))
        info = out.info._replace(valid=real, episode_end=out.info.episode_end & real)
        return (*held, ~resetting), Timestep(held[1], lie, jnp.where(resetting, no, out.terminated), no, info)

    return Env(reset, step, num_envs, env.num_actions, env.obs_shape, env.action_names, env.preset)


class TinyMemory(nn.Module):
    """An LSTM of 16 units over a flat observation; actor and critic, or (`q`) values of actions."""

    num_actions: int
    q: bool = False

    @nn.compact
    def __call__(self, obs: jax.Array, carry=None) -> Output:
        x = obs.reshape(-1).astype(jnp.float32) / 255
        carry = (jnp.zeros(16), jnp.zeros(16)) if carry is None else carry
        carry, h = nn.OptimizedLSTMCell(16)(carry, x)
        if self.q:
            return Output(q=nn.Dense(self.num_actions)(h), carry=carry)
        return Output(logits=nn.Dense(self.num_actions)(h), value=nn.Dense(1)(h)[0], carry=carry)


def remember_cue(num_envs: int = 16, wait: int = 3) -> Env:
    """A colour is shown, then nothing for `wait` steps; reward 1 for the action that it named, at the last of them.

    The best return is 1; who forgets gets 1/2.
    """
    blank = 5

    def first(key):
        cue = jax.random.randint(key, (), 0, 2)
        return jnp.stack([cue, cue])

    def transition(key, x, action):
        time, cue = x[1] // 2, x[1] % 2
        done = time == wait
        return jnp.stack([blank, x[1] + 2]), (done & (action == cue)).astype(jnp.float32), done

    return toy(num_envs, 2, first, transition)
