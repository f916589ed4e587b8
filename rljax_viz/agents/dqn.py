"""Deep Q-learning, Mnih et al. 2015, with what came after it as settings of one file.

Double (van Hasselt et al. 2016, arXiv:1509.06461), n-step returns (Sutton & Barto, ch. 7), prioritised replay (Schaul et al.
2016, arXiv:1511.05952); dueling (Wang et al. 2016, arXiv:1511.06581) is the network's affair. Differs: all games step
together, so that `learn_every` counts steps of all of them. A game cut short by its time limit counts as ended, as in the
paper, though its true last observation (`Info.final_obs`) could be valued, as CleanRL does.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ..envs import Env
from ..transforms import fast_convs, hoist
from .q_learning import Learner, QLearning, make_q_train
from .replay import Batch
from .settings import check_settings
from .train import Train


@dataclass(frozen=True)
class DQN(QLearning):
    """Settings of deep Q-learning: those of `QLearning`, and epsilon as in CleanRL."""

    double: bool = False  #: the online network chooses the next action, the target network values it
    epsilon_start: float = 1.0  #: part of random actions at the start
    epsilon_end: float = 0.01  #: part of random actions in the end
    epsilon_fraction: float = 0.1  #: part of the training over which epsilon goes from start to end
    prioritised: bool = False  #: draw transitions by their last error
    priority_alpha: float = 0.6  #: 0 draws uniformly, 1 in proportion to the error
    priority_beta: float = 0.4  #: how far importance weights correct for it at the start; 1 in the end

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(
            self,
            parts=("epsilon_start", "epsilon_end", "epsilon_fraction", "priority_alpha", "priority_beta"),
            flags=("double", "prioritised"),
        )


#: Double Q-learning.
DOUBLE_DQN = replace(DQN(), double=True)


def td_target(batch: Batch, next_q: jax.Array, next_q_target: jax.Array, double: bool) -> jax.Array:
    """`reward + discount * value of next_obs` [N]; next_q[N A] of the online network, next_q_target of the target network.

    Mnih et al. 2015, methods; van Hasselt et al. 2016, eq. 4, where `double`.
    """
    best = (next_q if double else next_q_target).argmax(-1)
    return batch.reward + batch.discount * jnp.take_along_axis(next_q_target, best[:, None], 1)[:, 0]


def dqn_loss(config: DQN, policy, params: Any, target: Any, batch: Batch) -> tuple[jax.Array, tuple]:
    """The Huber loss of the error of q(obs, action), weighted, over a batch; gives `(loss, (error[N], {"q": mean}))`."""
    q = policy(params, batch.obs).q
    chosen = jnp.take_along_axis(q, batch.action[:, None], 1)[:, 0]
    next_q_target = policy(target, batch.next_obs).q
    next_q = policy(params, batch.next_obs).q if config.double else next_q_target
    error = chosen - jax.lax.stop_gradient(td_target(batch, next_q, next_q_target, config.double))
    loss = (batch.weight * optax.losses.huber_loss(error)).sum() / jnp.maximum((batch.weight > 0).sum(), 1)
    return loss, (error, {"q": chosen.mean()})


def act(key: jax.Array, q: jax.Array, epsilon: jax.Array | float) -> jax.Array:
    """The best action of `q[B A]`, or with probability `epsilon` any: int32 [B]."""
    key_any, key_which = jax.random.split(key)
    anything = jax.random.randint(key_which, q.shape[:1], 0, q.shape[-1])
    return jnp.where(jax.random.uniform(key_any, q.shape[:1]) < epsilon, anything, q.argmax(-1)).astype(jnp.int32)


def make_train(config: DQN, env: Env, network: Any) -> Train:
    """`Train(init, update)` of `network` (a linen module with q: `init`, `apply` of one observation) on `env`.

    Convolutions take the form that is fastest on this backend (`transforms.fast_convs`).
    Raises ValueError where `config` does not suit `env` (see `q_learning.pace`), or the network has no q, or is i-DQN's.
    """
    if hasattr(network, "keys"):
        raise ValueError(
            f"{type(network).__name__} takes off a mean frame that only i-DQN finds: take --algo idqn, or a network that "
            "fits DQN: nature-q, nature-dueling, minatar-q, minatar-dueling (--network)"
        )
    policy = jax.vmap(fast_convs(hoist(network.apply)), (None, 0))

    def between(first: float, last: float, part: jax.Array) -> jax.Array:
        return first + jnp.clip(part, 0.0, 1.0) * (last - first)

    def epsilon(step: jax.Array) -> jax.Array:
        return between(config.epsilon_start, config.epsilon_end, step / max(config.epsilon_fraction * config.steps, 1.0))

    learner = Learner(
        choose=lambda key, params, obs, step: act(key, policy(params, obs).q, epsilon(step)),
        loss=lambda params, target, batch, key: dqn_loss(config, policy, params, target, batch),
        rates=lambda step: {"epsilon": epsilon(step)},
        alpha=config.priority_alpha if config.prioritised else None,
        beta=lambda step: between(config.priority_beta, 1.0, step / config.steps),
    )
    return make_q_train(config, env, network, learner, "DQN")
