"""PPO and A2C for networks that remember: the same loss, over whole sequences, with the gradient through the memory.

Mnih et al. 2016, arXiv:1602.01783 (A3C-LSTM); Schulman et al. 2017, arXiv:1707.06347. Differs from A3C: workers are games
that step together, and one synchronous update takes the place of many asynchronous ones.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ..envs import Env
from ..transforms import fast_convs, hoist
from .advantages import gae
from .heads import heads
from .rollout import Transition, ended_games
from .train import Train, first_params


class RecurrentState(NamedTuple):
    params: Any
    opt_state: optax.OptState
    env_state: Any
    timestep: Any
    carry: Any
    fresh: jax.Array
    key: jax.Array
    update: jax.Array


class Sequences(NamedTuple):
    """What a memory goes through: obs[T B ...], where it is emptied first, fresh[T B], what it held before, carry[B ...]."""

    obs: jax.Array
    fresh: jax.Array
    carry: Any


def is_recurrent(network: Any, obs_shape: tuple[int, ...]) -> bool:
    """Whether `network` hands on a carry; runs nothing."""
    return heads(network, obs_shape).carry is not None


def zero_carry(network: Any, params: Any, obs: Any, num_envs: int) -> Any:
    """Empty memories of `num_envs` games, [B ...]; `obs` of one observation."""
    shapes = jax.eval_shape(network.apply, params, obs).carry
    return jax.tree.map(lambda s: jnp.zeros((num_envs, *s.shape), s.dtype), shapes)


def emptied(carry: Any, fresh: jax.Array) -> Any:
    """`carry[B ...]`, zero where an episode begins (`fresh[B]`)."""
    return jax.tree.map(lambda x: jnp.where(fresh.reshape(-1, *(1,) * (x.ndim - 1)), jnp.zeros_like(x), x), carry)


def over_time(step: Callable, params: Any, seen: Sequences) -> Any:
    """The outputs of `step(params, obs[B], carry[B])` along a sequence, flattened to [T * B ...].

    What needs no memory (convolutions, the gates' share of the frame) runs for all steps at once, before the loop.
    """

    def whole(params: Any, seen: Sequences) -> Any:
        def one(carry, row):
            obs, fresh = row
            out = step(params, obs, emptied(carry, fresh))
            return out.carry, out._replace(carry=None)

        return jax.lax.scan(one, seen.carry, (seen.obs, seen.fresh))[1]

    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), hoist(whole)(params, seen))


def make_recurrent_train(config: Any, env: Env, network: Any, loss: Callable, sample: Callable, metrics: Callable) -> Train:
    """`Train(init, update)` as `ppo.make_train`, for a `network` with a memory; a minibatch is a part of the games.

    `loss`, `sample` and `metrics` are PPO's own. Raises ValueError where the games do not divide into minibatches.
    """
    games = env.num_envs
    per_update = config.num_steps * games
    num_updates = config.steps // per_update
    if games % config.num_minibatches:
        raise ValueError(
            f"{games} environments do not divide into {config.num_minibatches} minibatches: with a memory each takes whole "
            "games; change num_envs or num_minibatches"
        )
    step = jax.vmap(fast_convs(network.apply), (None, 0, 0))

    def remaining(update: jax.Array) -> jax.Array:
        return 1.0 - update / num_updates if config.anneal else jnp.ones(())

    def learning_rate(count: Any) -> Any:
        return config.learning_rate * remaining(count // (config.epochs * config.num_minibatches))

    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(learning_rate, eps=1e-5)
    )

    def init(key: jax.Array) -> RecurrentState:
        key, key_net, key_env = jax.random.split(key, 3)
        env_state, timestep = env.reset(key_env)
        obs = jnp.zeros(env.obs_shape, timestep.obs.dtype)
        params = first_params(network, key_net, obs)
        carry, fresh = zero_carry(network, params, obs, games), jnp.ones(games, bool)
        return RecurrentState(
            params, optimizer.init(params), env_state, timestep, carry, fresh, key, jnp.zeros((), jnp.int32)
        )

    def begin(state: RecurrentState, env_state: Any, timestep: Any) -> RecurrentState:
        return state._replace(env_state=env_state, timestep=timestep, fresh=jnp.ones(games, bool))

    def play(params: Any, state: tuple, key: jax.Array) -> tuple[tuple, tuple]:
        env_state, timestep, carry, fresh = state
        out = step(params, timestep.obs, emptied(carry, fresh))
        action = jax.random.categorical(key, out.logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(out.logits), action[:, None], 1)[:, 0]
        env_state, moved = env.step(env_state, action)
        valid = moved.info.valid
        taken = Transition(timestep.obs, action, moved.reward, moved.done, valid, out.value, log_prob)
        return (env_state, moved, out.carry, moved.done | ~valid), (taken, fresh, ended_games(moved.info))

    def update(state: RecurrentState) -> tuple[RecurrentState, Any]:
        key, key_act, key_learn = jax.random.split(state.key, 3)
        begun = (state.env_state, state.timestep, state.carry, state.fresh)
        keys = jax.random.split(key_act, config.num_steps)
        now, (taken, fresh, ended) = jax.lax.scan(lambda s, k: play(state.params, s, k), begun, keys)
        last = step(state.params, now[1].obs, emptied(now[2], now[3])).value
        advantage = gae(taken.reward, taken.value, taken.done, last, config.discount, config.gae_lambda)
        clip = (config.clip or 0.0) * remaining(state.update)

        def learn(carry, some):
            params, opt_state = carry
            flat = lambda x: x[:, some].reshape(-1, *x.shape[2:])  # noqa: E731
            seen = Sequences(taken.obs[:, some], fresh[:, some], jax.tree.map(lambda x: x[some], state.carry))
            part = jax.tree.map(flat, taken._replace(obs=None))._replace(obs=seen)
            batch = sample(part, flat(advantage), flat(advantage + taken.value))
            policy = lambda p, seen: over_time(step, p, seen)  # noqa: E731
            grads, aux = jax.grad(lambda p: loss(config, policy, p, batch, clip), has_aux=True)(params)
            change, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, change), opt_state), (*aux, optax.tree.norm(grads))

        def epoch(carry, key_epoch):
            order = jax.random.permutation(key_epoch, games).reshape(config.num_minibatches, -1)
            return jax.lax.scan(learn, carry, order)

        carry = (state.params, state.opt_state)
        (params, opt_state), parts = jax.lax.scan(epoch, carry, jax.random.split(key_learn, config.epochs))
        told = metrics(jax.tree.map(lambda x: x.sum(0), ended), *(part.mean() for part in parts))
        return RecurrentState(params, opt_state, *now, key, state.update + 1), told

    return Train(init, update, num_updates, per_update, begin, ("env_state", "timestep", "carry", "fresh"))
