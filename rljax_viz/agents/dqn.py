"""Deep Q-learning, Mnih et al. 2015, with what came after it as settings of one file.

Double (van Hasselt et al. 2016, arXiv:1509.06461), n-step returns (Sutton & Barto, ch. 7), prioritised replay (Schaul et al.
2016, arXiv:1511.05952); dueling (Wang et al. 2016, arXiv:1511.06581) is the network's affair. Differs: all games step
together, so that `learn_every` counts steps of all of them.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ..envs import Env
from ..transforms import fast_convs
from .priorities import Priorities, draw, importance, make_priorities, put
from .replay import Batch, Replay, add, cut, make_replay, refilled, sample, transitions
from .rollout import Episodes, ended_games
from .train import Train


@dataclass(frozen=True)
class DQN:
    """The defaults are CleanRL's for Atari, with a memory that fits into 24 GB beside everything else."""

    steps: int = 10_000_000  #: environment steps of the whole training, over all environments of one agent
    num_steps: int = 128  #: steps of each environment in one update (between two rows of metrics)
    replay_size: int = 100_000  #: steps in memory, over all environments
    learn_start: int = 20_000  #: steps played before anything is learned
    learn_every: int = 4  #: steps, over all environments, for one gradient step
    batch_size: int = 32  #: transitions a gradient step
    target_every: int = 250  #: gradient steps between two copies of the network to its target
    learning_rate: float = 1e-4  #: of Adam
    adam_eps: float = 1.5e-4  #: of Adam
    max_grad_norm: float = 10.0  #: gradients are scaled down to this norm
    discount: float = 0.99  #: gamma
    n_step: int = 1  #: rewards summed before the value of what follows
    double: bool = False  #: the online network chooses the next action, the target network values it
    epsilon_start: float = 1.0  #: part of random actions at the start
    epsilon_end: float = 0.01  #: part of random actions in the end
    epsilon_fraction: float = 0.1  #: part of the training over which epsilon goes from start to end
    prioritised: bool = False  #: draw transitions by their last error
    priority_alpha: float = 0.6  #: 0 draws uniformly, 1 in proportion to the error
    priority_beta: float = 0.4  #: how far importance weights correct for it at the start; 1 in the end

    def __post_init__(self) -> None:
        for name in ("steps", "num_steps", "replay_size", "learn_every", "batch_size", "target_every", "n_step"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("learning_rate", "max_grad_norm", "adam_eps"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("discount", "epsilon_start", "epsilon_end", "epsilon_fraction", "priority_alpha", "priority_beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected between 0 and 1")


#: Double Q-learning.
DOUBLE_DQN = replace(DQN(), double=True)


class DQNState(NamedTuple):
    params: Any
    target: Any
    opt_state: optax.OptState
    env_state: Any
    timestep: Any
    start: jax.Array
    replay: Replay
    priorities: Priorities | None
    key: jax.Array
    update: jax.Array
    learned: jax.Array


class DQNMetrics(NamedTuple):
    """Of one update: means over its gradient steps (0 before the first). `episodes` are the games that ended in it."""

    episodes: Episodes
    loss: jax.Array
    q: jax.Array
    grad_norm: jax.Array
    epsilon: jax.Array


# ------------------------------------------------------------------------------------------------------------- loss


def td_target(batch: Batch, next_q: jax.Array, next_q_target: jax.Array, double: bool) -> jax.Array:
    """`reward + discount * value of next_obs` [N]; next_q[N A] of the online network, next_q_target of the target network.

    Mnih et al. 2015, methods; van Hasselt et al. 2016, eq. 4, where `double`.
    """
    best = (next_q if double else next_q_target).argmax(-1)
    return batch.reward + batch.discount * jnp.take_along_axis(next_q_target, best[:, None], 1)[:, 0]


def dqn_loss(config: DQN, policy, params: Any, target: Any, batch: Batch) -> tuple[jax.Array, tuple]:
    """The Huber loss of the error of q(obs, action), weighted, over a batch; gives `(loss, (error[N], mean q))`."""
    q = policy(params, batch.obs).q
    chosen = jnp.take_along_axis(q, batch.action[:, None], 1)[:, 0]
    next_q_target = policy(target, batch.next_obs).q
    next_q = policy(params, batch.next_obs).q if config.double else next_q_target
    error = chosen - jax.lax.stop_gradient(td_target(batch, next_q, next_q_target, config.double))
    loss = (batch.weight * optax.losses.huber_loss(error)).sum() / jnp.maximum((batch.weight > 0).sum(), 1)
    return loss, (error, chosen.mean())


def act(key: jax.Array, q: jax.Array, epsilon: jax.Array | float) -> jax.Array:
    """The best action of `q[B A]`, or with probability `epsilon` any: int32 [B]."""
    key_any, key_which = jax.random.split(key)
    anything = jax.random.randint(key_which, q.shape[:1], 0, q.shape[-1])
    return jnp.where(jax.random.uniform(key_any, q.shape[:1]) < epsilon, anything, q.argmax(-1)).astype(jnp.int32)


# ------------------------------------------------------------------------------------------------------- one setting


def pace(config: Any, env: Env) -> tuple[int, int, int]:
    """`(updates, steps of each game between two lessons, gradient steps a lesson)`.

    Raises ValueError where games and `learn_every` do not divide, or the memory is smaller than what must lie in it.
    """
    games, every = env.num_envs, config.learn_every
    per_update = config.num_steps * games
    if (updates := config.steps // per_update) < 1:
        raise ValueError(f"steps={config.steps} is less than one update: {config.num_steps} x {games} steps")
    if games % every and every % games:
        raise ValueError(f"learn_every={every} neither divides {games} environments nor is divided by them; change one")
    apart, lessons = max(1, every // games), max(1, games // every)
    if config.num_steps % apart:
        raise ValueError(
            f"num_steps={config.num_steps} steps of {games} environments do not divide by learn_every={every}; take "
            f"num_steps={apart * max(1, config.num_steps // apart)}"
        )
    if config.replay_size > 200_000 and jax.default_backend() == "cpu":
        raise ValueError(
            f"replay_size={config.replay_size} frames would fill this machine's memory and every checkpoint's disk; "
            "on a CPU take 200000 or less: --set replay_size=200000"
        )
    if config.learn_start > config.replay_size:
        raise ValueError(f"learn_start={config.learn_start} steps do not fit into replay_size={config.replay_size}")
    return updates, apart, lessons


def refuse_without_q(network: Any, params: Any, obs: jax.Array, algo: str) -> None:
    """ValueError unless `network` answers with q, and without a memory of its own."""
    out = jax.eval_shape(network.apply, params, obs)
    if out.q is None:
        raise ValueError(
            f"{type(network).__name__} has no q-values, and {algo} learns them; take a network that has: nature-q, "
            "nature-dueling, minatar-q, minatar-dueling (--network)"
        )


# -------------------------------------------------------------------------------------------------- init and update


def make_train(config: DQN, env: Env, network: Any) -> Train:
    """`Train(init, update)` of `network` (a linen module with q: `init`, `apply` of one observation) on `env`.

    Convolutions take the form that is fastest on this backend (`transforms.fast_convs`).
    Raises ValueError where `config` does not suit `env` (see `pace`), or the network has no q.
    """
    num_updates, apart, lessons = pace(config, env)
    stack, padding = env.preset.stack, env.preset.padding
    slots = max(config.replay_size // env.num_envs, 2)
    policy = jax.vmap(fast_convs(network.apply), (None, 0))
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(config.learning_rate, eps=config.adam_eps)
    )

    def init(key: jax.Array) -> DQNState:
        key, key_net, key_env = jax.random.split(key, 3)
        env_state, timestep = env.reset(key_env)
        obs = jnp.zeros(env.obs_shape, timestep.obs.dtype)
        params = network.init(key_net, obs)
        refuse_without_q(network, params, obs, "DQN")
        frame = (*env.obs_shape[:-1], env.obs_shape[-1] // stack)
        replay = make_replay(slots, env.num_envs, frame, timestep.obs.dtype)
        priorities = make_priorities(slots * env.num_envs) if config.prioritised else None
        start, zero = jnp.ones(env.num_envs, bool), jnp.zeros((), jnp.int32)
        target = jax.tree.map(jnp.copy, params)
        return DQNState(
            params, target, optimizer.init(params), env_state, timestep, start, replay, priorities, key, zero, zero
        )

    def begin(state: DQNState, env_state: Any, timestep: Any) -> DQNState:
        start = jnp.ones(env.num_envs, bool)
        return state._replace(env_state=env_state, timestep=timestep, start=start, replay=cut(state.replay))

    def epsilon(step: jax.Array) -> jax.Array:
        part = jnp.clip(step / max(config.epsilon_fraction * config.steps, 1.0), 0.0, 1.0)
        return config.epsilon_start + part * (config.epsilon_end - config.epsilon_start)

    def play(state: DQNState, key: jax.Array) -> tuple[DQNState, Episodes]:
        obs = state.timestep.obs
        step = state.replay.count * env.num_envs
        action = act(key, policy(state.params, obs).q, epsilon(step))
        env_state, moved = env.step(state.env_state, action)
        place, priorities = state.replay.count % slots, state.priorities
        if priorities is not None:  # a row may be drawn once the n steps after it are there
            places = jnp.arange(env.num_envs)
            young = ((place - config.n_step) % slots) * env.num_envs + places
            priorities = put(priorities, place * env.num_envs + places, jnp.zeros(env.num_envs))
            fresh = jnp.where(state.replay.count >= config.n_step, priorities.largest, 0.0)
            priorities = put(priorities, young, jnp.broadcast_to(fresh, (env.num_envs,)))
        replay = add(state.replay, obs, state.start, action, moved)
        start = refilled(obs, moved.obs, obs.shape[-1] // stack)
        state = state._replace(env_state=env_state, timestep=moved, start=start, replay=replay, priorities=priorities)
        return state, ended_games(moved.info)

    def remember(state: DQNState, key: jax.Array) -> Batch:
        if state.priorities is None:
            return sample(key, state.replay, config.batch_size, config.discount, config.n_step, stack, padding)
        index, probability = draw(key, state.priorities, config.batch_size)
        slot, game = index // env.num_envs, index % env.num_envs
        newest = state.replay.count - 1
        row = newest - (newest - slot) % slots
        batch = transitions(state.replay, row, game, config.discount, config.n_step, stack, padding)
        part = jnp.clip(newest * env.num_envs / config.steps, 0.0, 1.0)
        beta = config.priority_beta + part * (1.0 - config.priority_beta)
        places = jnp.minimum(state.replay.count, slots) * env.num_envs
        return batch._replace(weight=batch.weight * importance(probability, places, beta))

    def learn(state: DQNState, key: jax.Array) -> tuple[DQNState, tuple]:
        batch = remember(state, key)
        ready = state.replay.count * env.num_envs >= config.learn_start

        def lesson(params, target, opt_state):
            grad = jax.grad(lambda p: dqn_loss(config, policy, p, target, batch), has_aux=True)
            grads, (error, q) = grad(params)
            step, opt_state = optimizer.update(grads, opt_state, params)
            return optax.apply_updates(params, step), opt_state, error, q, optax.tree.norm(grads)

        def nothing(params, target, opt_state):
            return params, opt_state, jnp.zeros(config.batch_size), jnp.zeros(()), jnp.zeros(())

        params, opt_state, error, q, norm = jax.lax.cond(
            ready, lesson, nothing, state.params, state.target, state.opt_state
        )
        learned = state.learned + ready
        copy = ready & (learned % config.target_every == 0)
        target = jax.tree.map(lambda new, old: jnp.where(copy, new, old), params, state.target)
        priorities = state.priorities
        if priorities is not None:
            value = jnp.where(batch.weight > 0, (jnp.abs(error) + 1e-6) ** config.priority_alpha, 0.0)
            old = priorities.value.reshape(-1)[batch.index]
            priorities = put(priorities, batch.index, jnp.where(ready, value, old))
        state = state._replace(
            params=params, target=target, opt_state=opt_state, priorities=priorities, learned=learned
        )
        return state, (optax.losses.huber_loss(error).mean(), q, norm)

    def cycle(state: DQNState, key: jax.Array) -> tuple[DQNState, tuple]:
        key_play, key_learn = jax.random.split(key)
        state, episodes = jax.lax.scan(play, state, jax.random.split(key_play, apart))
        state, parts = jax.lax.scan(learn, state, jax.random.split(key_learn, lessons))
        return state, (episodes, parts)

    def update(state: DQNState) -> tuple[DQNState, DQNMetrics]:
        key, key_cycles = jax.random.split(state.key)
        keys = jax.random.split(key_cycles, config.num_steps // apart)
        state, (episodes, parts) = jax.lax.scan(cycle, state, keys)
        means = (part.mean() for part in parts)
        episodes = jax.tree.map(lambda x: x.sum(), episodes)
        metrics = DQNMetrics(episodes, *means, epsilon(state.replay.count * env.num_envs))
        return state._replace(key=key, update=state.update + 1), metrics

    games = ("env_state", "timestep", "start")
    return Train(init, update, num_updates, config.num_steps * env.num_envs, begin, games, ring="replay")
