"""Proximal policy optimisation, Schulman et al. 2017, arXiv:1707.06347, as OpenAI Baselines' PPO2 runs it on Atari.

Differs from Baselines: steps on which the environment only reset are masked out of every loss. A2C (Mnih et al. 2016,
arXiv:1602.01783) is the setting with one epoch, one minibatch and no clipping.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ..envs import Env
from ..transforms import fast_convs
from .advantages import gae
from .heads import refuse_without_actor_critic
from .minibatches import minibatches
from .recurrent_ppo import is_recurrent, make_recurrent_train
from .rollout import Episodes, Transition, rollout
from .settings import check_settings
from .train import Train, first_params


@dataclass(frozen=True)
class PPO:
    """The defaults are Baselines' for Atari with 8 environments (Nikulin et al. 2019, section 5)."""

    steps: int = 10_000_000  #: environment steps of the whole training, over all environments of one agent
    num_steps: int = 128  #: steps of each environment between two updates
    num_minibatches: int = 4  #: parts of a batch, each one gradient step
    epochs: int = 4  #: how often a batch is gone through
    learning_rate: float = 2.5e-4  #: of Adam, at the start
    anneal: bool = True  #: bring learning rate and clip linearly to 0
    clip: float | None = 0.1  #: largest change of probability ratio and value; None for none
    discount: float = 0.99  #: gamma
    gae_lambda: float = 0.95  #: lambda of generalised advantage estimation; 1 for n-step returns
    entropy_coef: float = 0.01  #: weight of the entropy bonus
    value_coef: float = 0.5  #: weight of the value loss
    max_grad_norm: float = 0.5  #: gradients are scaled down to this norm
    normalize_advantages: bool = True  #: to mean 0 and deviation 1 in each minibatch

    def __post_init__(self) -> None:
        check_settings(
            self,
            counts=("steps", "num_steps", "num_minibatches", "epochs"),
            positive=("learning_rate", "max_grad_norm", *(() if self.clip is None else ("clip",))),
            not_negative=("entropy_coef", "value_coef"),
            parts=("discount", "gae_lambda"),
            flags=("anneal", "normalize_advantages"),
        )


#: Synchronous advantage actor-critic, by Baselines' steps, rate and weights. Differs: Adam in place of RMSProp, and the
#: squared error of the value is halved, as in PPO2.
A2C = replace(
    PPO(), num_steps=5, num_minibatches=1, epochs=1, learning_rate=7e-4, clip=None, gae_lambda=1.0, normalize_advantages=False
)  # fmt: skip


class TrainState(NamedTuple):
    params: Any
    opt_state: optax.OptState
    env_state: Any
    timestep: Any
    key: jax.Array
    update: jax.Array


class Metrics(NamedTuple):
    """Of one update; losses are means over its minibatches. `episodes` are the games that ended in its rollout."""

    episodes: Episodes
    policy_loss: jax.Array
    value_loss: jax.Array
    entropy: jax.Array
    approx_kl: jax.Array
    clip_fraction: jax.Array
    grad_norm: jax.Array


# ------------------------------------------------------------------------------------------------------------- loss


class Sample(NamedTuple):
    """A transition with what the loss compares against."""

    transition: Transition
    advantage: jax.Array
    target: jax.Array


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of `x` where `mask`; 0 where the mask is empty."""
    mask = mask.astype(x.dtype)
    return (x * mask).sum() / jnp.maximum(mask.sum(), 1.0)


def ppo_loss(config: PPO, policy, params: Any, batch: Sample, clip: jax.Array) -> tuple[jax.Array, tuple]:
    """Schulman et al. 2017, eq. 7 and 9, with Baselines' clipped value loss, over a minibatch `[n ...]`."""
    old, valid = batch.transition, batch.transition.valid
    out = policy(params, old.obs)
    log_probs = jax.nn.log_softmax(out.logits)
    log_prob = jnp.take_along_axis(log_probs, old.action[:, None], 1)[:, 0]
    ratio = jnp.exp(log_prob - old.log_prob)
    advantage = batch.advantage
    if config.normalize_advantages:
        mean = masked_mean(advantage, valid)
        advantage = (advantage - mean) / (jnp.sqrt(masked_mean((advantage - mean) ** 2, valid)) + 1e-8)
    surrogate, error = ratio * advantage, (out.value - batch.target) ** 2
    if config.clip is not None:
        surrogate = jnp.minimum(surrogate, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage)
        near = old.value + jnp.clip(out.value - old.value, -clip, clip)
        error = jnp.maximum(error, (near - batch.target) ** 2)
    policy_loss = -masked_mean(surrogate, valid)
    value_loss = 0.5 * masked_mean(error, valid)
    entropy = masked_mean(-(jnp.exp(log_probs) * log_probs).sum(-1), valid)
    loss = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy
    approx_kl = masked_mean(ratio - 1 - (log_prob - old.log_prob), valid)
    clipped = masked_mean((jnp.abs(ratio - 1) > clip).astype(jnp.float32), valid)
    return loss, (policy_loss, value_loss, entropy, approx_kl, clipped)


# -------------------------------------------------------------------------------------------------- init and update


def make_train(config: PPO, env: Env, network: Any) -> Train:
    """`Train(init, update)` of `network` (a linen module: `init`, `apply` of one observation) on `env`.

    A network that remembers learns from whole sequences (`recurrent_ppo.py`). Convolutions take the form that is fastest
    on this backend (`transforms.fast_convs`).
    Raises ValueError where `config.steps` is less than one update, the batch does not divide, or the network has not both
    logits and value.
    """
    per_update = config.num_steps * env.num_envs
    num_updates = config.steps // per_update
    if num_updates < 1:
        raise ValueError(f"steps={config.steps} is less than one update: {config.num_steps} x {env.num_envs} steps")
    refuse_without_actor_critic(network, env.obs_shape)
    if is_recurrent(network, env.obs_shape):
        return make_recurrent_train(config, env, network, ppo_loss, Sample, Metrics)
    policy = jax.vmap(fast_convs(network.apply), (None, 0))

    def remaining(update: jax.Array) -> jax.Array:
        return 1.0 - update / num_updates if config.anneal else jnp.ones(())

    def learning_rate(count: Any) -> Any:
        return config.learning_rate * remaining(count // (config.epochs * config.num_minibatches))

    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm),
        optax.adam(learning_rate, eps=1e-5),
    )

    def init(key: jax.Array) -> TrainState:
        key, key_net, key_env = jax.random.split(key, 3)
        env_state, timestep = env.reset(key_env)
        params = first_params(network, key_net, jnp.zeros(env.obs_shape, timestep.obs.dtype))
        return TrainState(params, optimizer.init(params), env_state, timestep, key, jnp.zeros((), jnp.int32))

    def update(state: TrainState) -> tuple[TrainState, Metrics]:
        key, key_act, key_learn = jax.random.split(state.key, 3)
        act = lambda obs: policy(state.params, obs)  # noqa: E731
        (env_state, timestep), transitions, episodes = rollout(
            env.step, act, state.env_state, state.timestep, key_act, config.num_steps
        )
        last_value = act(timestep.obs).value
        advantage = gae(
            transitions.reward, transitions.value, transitions.done, last_value, config.discount, config.gae_lambda
        )
        samples = Sample(transitions, advantage, advantage + transitions.value)
        clip = (config.clip or 0.0) * remaining(state.update)

        def learn(carry, batch):
            params, opt_state = carry
            grads, aux = jax.grad(lambda p: ppo_loss(config, policy, p, batch, clip), has_aux=True)(params)
            step, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, step), opt_state), (*aux, optax.tree.norm(grads))

        def epoch(carry, key_epoch):
            return jax.lax.scan(learn, carry, minibatches(key_epoch, samples, config.num_minibatches))

        carry = (state.params, state.opt_state)
        (params, opt_state), parts = jax.lax.scan(epoch, carry, jax.random.split(key_learn, config.epochs))
        means = (part.mean() for part in parts)
        return TrainState(params, opt_state, env_state, timestep, key, state.update + 1), Metrics(episodes, *means)

    return Train(init, update, num_updates, per_update)
