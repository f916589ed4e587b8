"""Deep recurrent Q-learning, Hausknecht & Stone 2015, arXiv:1507.06527: double Q-learning for networks that remember.

Windows of steps are drawn from the memory ("bootstrapped random updates") and gone through from an empty LSTM; the first
steps may only warm it up. Differs: double targets and dueling heads; an episode's end inside a window empties the LSTM. A
game cut short by its time limit counts as ended: `Info.final_obs` is not valued.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ..envs import Env
from ..transforms import fast_convs
from .dqn import act
from .heads import refuse_without_q
from .q_learning import QLearning, QMetrics, pace
from .recurrent_ppo import Sequences, emptied, is_recurrent, over_time, zero_carry
from .replay import Replay, Windows, add, cut, make_replay, refilled, sample_windows
from .rollout import Episodes, ended_games
from .settings import check_settings
from .train import Train, first_params


@dataclass(frozen=True)
class DRQN(QLearning):
    """The defaults are DQN's, with windows of ten steps as in the paper."""

    batch_size: int = 16  #: windows a gradient step
    window: int = 10  #: steps of a window
    warm_up: int = 2  #: steps of a window that only fill the memory
    epsilon_start: float = 1.0  #: part of random actions at the start
    epsilon_end: float = 0.01  #: part of random actions in the end
    epsilon_fraction: float = 0.1  #: part of the training over which epsilon goes from start to end

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(
            self, counts=("window",), counts_or_0=("warm_up",), parts=("epsilon_start", "epsilon_end", "epsilon_fraction")
        )
        if self.n_step != 1:
            raise ValueError(f"n_step is {self.n_step}; windows are learned from by one-step targets: n_step=1")
        if self.warm_up >= self.window - 1:
            raise ValueError(f"a window of {self.window} steps, of which {self.warm_up} warm up, leaves none to learn from")


class DRQNState(NamedTuple):
    params: Any
    target: Any
    opt_state: optax.OptState
    env_state: Any
    timestep: Any
    start: jax.Array
    carry: Any
    fresh: jax.Array
    replay: Replay
    key: jax.Array
    update: jax.Array
    learned: jax.Array


def drqn_loss(config: DRQN, step: Any, params: Any, target: Any, seen: Windows, empty: Any) -> tuple[jax.Array, jax.Array]:
    """Huber loss of the double-DQN error over windows [T N], from empty memories: `(loss, mean q)`.

    The last step of a window has no successor and is not learned from, nor are the first `warm_up`.
    """
    length, count = seen.action.shape
    through = Sequences(seen.obs, seen.first.at[0].set(True), empty)
    shape = lambda q: q.reshape(length, count, -1)  # noqa: E731
    q, q_target = shape(over_time(step, params, through).q), shape(over_time(step, target, through).q)
    chosen = jnp.take_along_axis(q, seen.action[..., None], -1)[..., 0]
    following = jnp.take_along_axis(q_target[1:], q[1:].argmax(-1)[..., None], -1)[..., 0]
    going_on = 1.0 - seen.ended[:-1].astype(jnp.float32)
    aim = jax.lax.stop_gradient(seen.reward[:-1] + config.discount * going_on * following)
    # where a game was broken off without an end, the next step begins another one
    bridged = seen.first[1:] & ~seen.ended[:-1] & (seen.weight[:-1] > 0)
    weight = seen.weight[:-1] * (~bridged) * (jnp.arange(length - 1) >= config.warm_up)[:, None]
    error = weight * optax.losses.huber_loss(chosen[:-1] - aim)
    return error.sum() / jnp.maximum(weight.sum(), 1.0), chosen.mean()


def make_train(config: DRQN, env: Env, network: Any) -> Train:
    """`Train(init, update)` of a recurrent `network` with q on `env`.

    Raises ValueError where `config` does not suit `env` (see `q_learning.pace`), or the network has no q or no memory.
    """
    num_updates, apart, lessons = pace(config, env)
    stack, padding, games = env.preset.stack, env.preset.padding, env.num_envs
    refuse_without_q(network, env.obs_shape, "DRQN")
    if not is_recurrent(network, env.obs_shape):
        raise ValueError(f"{type(network).__name__} remembers nothing; take --network drqn, or --algo dddqn")
    step = jax.vmap(fast_convs(network.apply), (None, 0, 0))
    adam = optax.adam(config.learning_rate, eps=config.adam_eps)
    optimizer = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), adam)

    def init(key: jax.Array) -> DRQNState:
        key, key_net, key_env = jax.random.split(key, 3)
        env_state, timestep = env.reset(key_env)
        obs = jnp.zeros(env.obs_shape, timestep.obs.dtype)
        params = first_params(network, key_net, obs)
        frame = (*env.obs_shape[:-1], env.obs_shape[-1] // stack)
        replay = make_replay(max(config.replay_size // games, 2), games, frame, timestep.obs.dtype)
        target, opt_state = jax.tree.map(jnp.copy, params), optimizer.init(params)
        carry, yes, zero = zero_carry(network, params, obs, games), jnp.ones(games, bool), jnp.zeros((), jnp.int32)
        return DRQNState(
            params, target, opt_state, env_state, timestep, yes, carry, jnp.copy(yes), replay, key, zero, jnp.copy(zero)
        )

    def begin(state: DRQNState, env_state: Any, timestep: Any) -> DRQNState:
        yes = jnp.ones(games, bool)
        state = state._replace(env_state=env_state, timestep=timestep, start=yes, fresh=jnp.copy(yes))
        return state._replace(replay=cut(state.replay))

    def epsilon(count: jax.Array) -> jax.Array:
        part = jnp.clip(count / max(config.epsilon_fraction * config.steps, 1.0), 0.0, 1.0)
        return config.epsilon_start + part * (config.epsilon_end - config.epsilon_start)

    def play(state: DRQNState, key: jax.Array) -> tuple[DRQNState, Episodes]:
        obs = state.timestep.obs
        out = step(state.params, obs, emptied(state.carry, state.fresh))
        action = act(key, out.q, epsilon(state.replay.count * games))
        env_state, moved = env.step(state.env_state, action)
        replay = add(state.replay, obs, state.start, action, moved)
        start, fresh = refilled(obs, moved.obs, obs.shape[-1] // stack), moved.done | ~moved.info.valid
        state = state._replace(env_state=env_state, timestep=moved, start=start, carry=out.carry, fresh=fresh)
        return state._replace(replay=replay), ended_games(moved.info)

    def learn(state: DRQNState, key: jax.Array) -> tuple[DRQNState, tuple]:
        seen = sample_windows(key, state.replay, config.batch_size, config.window, stack, padding)
        ready = state.replay.count * games >= config.learn_start
        empty = jax.tree.map(lambda x: jnp.zeros((config.batch_size, *x.shape[1:]), x.dtype), state.carry)

        def lesson(params, target, opt_state):
            gradient = jax.value_and_grad(lambda p: drqn_loss(config, step, p, target, seen, empty), has_aux=True)
            (loss, q), grads = gradient(params)
            change, opt_state = optimizer.update(grads, opt_state, params)
            return optax.apply_updates(params, change), opt_state, (loss, q, optax.tree.norm(grads))

        def nothing(params, target, opt_state):
            return params, opt_state, (jnp.zeros(()),) * 3

        before = state.params, state.target, state.opt_state
        params, opt_state, numbers = jax.lax.cond(ready, lesson, nothing, *before)
        learned = state.learned + ready
        copy = ready & (learned % config.target_every == 0)
        target = jax.tree.map(lambda new, old: jnp.where(copy, new, old), params, state.target)
        return state._replace(params=params, target=target, opt_state=opt_state, learned=learned), numbers

    def cycle(state: DRQNState, key: jax.Array) -> tuple[DRQNState, tuple]:
        key_play, key_learn = jax.random.split(key)
        state, episodes = jax.lax.scan(play, state, jax.random.split(key_play, apart))
        state, numbers = jax.lax.scan(learn, state, jax.random.split(key_learn, lessons))
        return state, (episodes, numbers)

    def update(state: DRQNState) -> tuple[DRQNState, QMetrics]:
        key, key_cycles = jax.random.split(state.key)
        state, (episodes, numbers) = jax.lax.scan(cycle, state, jax.random.split(key_cycles, config.num_steps // apart))
        loss, q, norm = jax.tree.map(lambda x: x.mean(), numbers)
        parts = {"q": q, "epsilon": epsilon(state.replay.count * games)}
        metrics = QMetrics(jax.tree.map(lambda x: x.sum(), episodes), loss, norm, parts)
        return state._replace(key=key, update=state.update + 1), metrics

    fields = ("env_state", "timestep", "start", "carry", "fresh")
    return Train(init, update, num_updates, config.num_steps * games, begin, fields, ring="replay")
