"""What learners of q-values share: their pace, the loop that plays, remembers and learns, and its state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ..envs import Env
from .heads import heads, refuse_without_q
from .priorities import Priorities, draw, importance, make_priorities, put
from .replay import Batch, Replay, add, cut, make_replay, refilled, sample, transitions
from .rollout import Episodes, ended_games
from .settings import check_settings
from .train import Train, first_params


@dataclass(frozen=True)
class QLearning:
    """Settings of every learner of q-values.

    The defaults are CleanRL's for Atari, with a memory of a tenth (what a CPU holds) that is learned from after a quarter
    of its 80,000 steps, Adam's epsilon of Rainbow (Hessel et al. 2018, arXiv:1710.02298), and gradients held to a norm.
    """

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

    def __post_init__(self) -> None:
        check_settings(
            self,
            counts=("steps", "num_steps", "replay_size", "learn_every", "batch_size", "target_every", "n_step"),
            counts_or_0=("learn_start",),
            positive=("learning_rate", "max_grad_norm", "adam_eps"),
            parts=("discount",),
        )


@dataclass(frozen=True)
class Learner:
    """What makes one learner differ from another, as functions.

    choose(key, params, obs[B ...], step) -> action[B];
    loss(params, target, batch, key) -> (loss, (error[N], {name: scalar}));
    observe(params, obs[B ...], step) -> params, called at every step that is played before learning begins.
    `alpha` and `beta(step)` switch prioritised replay on. `rates(step)` are numbers for the metrics.
    """

    choose: Callable
    loss: Callable
    observe: Callable = lambda params, obs, step: params
    rates: Callable = lambda step: {}
    learning_rate: Callable | None = None
    alpha: float | None = None
    beta: Callable = lambda step: jnp.ones(())


class QState(NamedTuple):
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


class QMetrics(NamedTuple):
    """Of one update: means over its gradient steps (0 before the first), by name. `episodes` are the games that ended."""

    episodes: Episodes
    loss: jax.Array
    grad_norm: jax.Array
    parts: dict[str, jax.Array]


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
        raise ValueError(
            f"learn_start={config.learn_start} steps do not fit into replay_size={config.replay_size}; begin sooner: "
            f"--set learn_start={config.replay_size // 2}"
        )
    return updates, apart, lessons


def make_q_train(config: Any, env: Env, network: Any, learner: Learner, algo: str) -> Train:
    """`Train(init, update)` of a `learner` whose settings are a `QLearning`.

    Raises ValueError where `config` does not suit `env` (see `pace`), or the network has no q, or another window than `env`.
    """
    num_updates, apart, lessons = pace(config, env)
    stack, padding, games = env.preset.stack, env.preset.padding, env.num_envs
    if (window := getattr(network, "window", 0)) not in (0, stack):
        raise ValueError(
            f"{type(network).__name__} looks at {window} frames, and the game is shown as {stack}: take --algo "
            f"split-attention, or envs.make({env.preset.env_id!r}, num_envs, stack={window})"
        )
    refuse_without_q(network, env.obs_shape, algo)
    if heads(network, env.obs_shape).carry is not None:
        raise ValueError(f"{type(network).__name__} remembers, and {algo} does not learn that; take --algo drqn")
    slots = max(config.replay_size // games, 2)
    rate = learner.learning_rate or config.learning_rate
    optimizer = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.adam(rate, eps=config.adam_eps))

    def init(key: jax.Array) -> QState:
        key, key_net, key_env = jax.random.split(key, 3)
        env_state, timestep = env.reset(key_env)
        params = first_params(network, key_net, jnp.zeros(env.obs_shape, timestep.obs.dtype))
        frame = (*env.obs_shape[:-1], env.obs_shape[-1] // stack)
        replay = make_replay(slots, games, frame, timestep.obs.dtype)
        priorities = None if learner.alpha is None else make_priorities(slots * games)
        start, zero, target = jnp.ones(games, bool), jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, params)
        opt_state = optimizer.init(params)
        return QState(params, target, opt_state, env_state, timestep, start, replay, priorities, key, zero, zero)

    def begin(state: QState, env_state: Any, timestep: Any) -> QState:
        start = jnp.ones(games, bool)
        return state._replace(env_state=env_state, timestep=timestep, start=start, replay=cut(state.replay))

    def ready(state: QState) -> jax.Array:
        return state.replay.count * games >= config.learn_start

    def play(state: QState, key: jax.Array) -> tuple[QState, Episodes]:
        obs, step = state.timestep.obs, state.replay.count * games
        seen = learner.observe(state.params, obs, state.replay.count)
        params = jax.tree.map(lambda new, old: jnp.where(ready(state), old, new), seen, state.params)
        action = learner.choose(key, params, obs, step)
        env_state, moved = env.step(state.env_state, action)
        priorities = state.priorities
        if priorities is not None:
            priorities = _newest(priorities, state.replay, config.n_step)
        replay = add(state.replay, obs, state.start, action, moved)
        start = refilled(obs, moved.obs, obs.shape[-1] // stack)
        target = jax.tree.map(lambda new, old: jnp.where(ready(state), old, new), params, state.target)
        state = state._replace(params=params, target=target, env_state=env_state, timestep=moved)
        return state._replace(start=start, replay=replay, priorities=priorities), ended_games(moved.info)

    def remember(state: QState, key: jax.Array) -> Batch:
        if state.priorities is None:
            return sample(key, state.replay, config.batch_size, config.discount, config.n_step, stack, padding)
        index, probability = draw(key, state.priorities, config.batch_size)
        newest = state.replay.count - 1
        row = newest - (newest - index // games) % slots
        batch = transitions(state.replay, row, index % games, config.discount, config.n_step, stack, padding)
        places = jnp.minimum(state.replay.count, slots) * games
        return batch._replace(weight=batch.weight * importance(probability, places, learner.beta(newest * games)))

    def learn(state: QState, key: jax.Array) -> tuple[QState, tuple]:
        batch = remember(state, key)  # outside of the cond, which would copy the memory

        def lesson(params, target, opt_state):
            gradient = jax.value_and_grad(lambda p: learner.loss(p, target, batch, jax.random.fold_in(key, 1)), has_aux=True)
            (loss, (error, parts)), grads = gradient(params)
            step, opt_state = optimizer.update(grads, opt_state, params)
            return optax.apply_updates(params, step), opt_state, error, (loss, optax.tree.norm(grads), parts)

        before = state.params, state.target, state.opt_state
        shapes = jax.eval_shape(lesson, *before)[2:]
        nothing = lambda params, target, opt_state: (  # noqa: E731
            params, opt_state, *jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        )  # fmt: skip
        params, opt_state, error, numbers = jax.lax.cond(ready(state), lesson, nothing, *before)
        learned = state.learned + ready(state)
        copy = ready(state) & (learned % config.target_every == 0)
        target = jax.tree.map(lambda new, old: jnp.where(copy, new, old), params, state.target)
        priorities = state.priorities
        if priorities is not None and learner.alpha is not None:
            value = jnp.where(batch.weight > 0, (jnp.abs(error) + 1e-6) ** learner.alpha, 0.0)
            old = priorities.value.reshape(-1)[batch.index]
            priorities = put(priorities, batch.index, jnp.where(ready(state), value, old))
        state = state._replace(params=params, target=target, opt_state=opt_state)
        return state._replace(priorities=priorities, learned=learned), numbers

    def cycle(state: QState, key: jax.Array) -> tuple[QState, tuple]:
        key_play, key_learn = jax.random.split(key)
        state, episodes = jax.lax.scan(play, state, jax.random.split(key_play, apart))
        state, numbers = jax.lax.scan(learn, state, jax.random.split(key_learn, lessons))
        return state, (episodes, numbers)

    def update(state: QState) -> tuple[QState, QMetrics]:
        key, key_cycles = jax.random.split(state.key)
        state, (episodes, numbers) = jax.lax.scan(cycle, state, jax.random.split(key_cycles, config.num_steps // apart))
        loss, norm, parts = jax.tree.map(lambda x: x.mean(), numbers)
        episodes = jax.tree.map(lambda x: x.sum(), episodes)
        metrics = QMetrics(episodes, loss, norm, {**parts, **learner.rates(state.replay.count * games)})
        return state._replace(key=key, update=state.update + 1), metrics

    fields = ("env_state", "timestep", "start")
    return Train(init, update, num_updates, config.num_steps * games, begin, fields, ring="replay")


def _newest(priorities: Priorities, replay: Replay, n_step: int) -> Priorities:
    """The row that is about to be written may not be drawn; the one whose n steps are then there, may."""
    games, place = replay.games, replay.count % replay.slots
    places = jnp.arange(games)
    young = (place - n_step) % replay.slots * games + places
    fresh = jnp.where(replay.count >= n_step, priorities.largest, 0.0)
    priorities = put(priorities, place * games + places, jnp.zeros(games))
    return put(priorities, young, jnp.broadcast_to(fresh, (games,)))
