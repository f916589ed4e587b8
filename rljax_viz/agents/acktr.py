"""ACKTR: actor-critic along the natural gradient, by K-FAC. Wu et al. 2017, arXiv:1708.05144.

Differs from OpenAI Baselines: the Fisher statistics are of actions drawn afresh from the policy, as in the paper; the
value's Gaussian has variance 1, so that a step on it is Gauss-Newton's; inverses are renewed every few updates in the
program, not in a thread; no cold start with plain gradients, since the running means know how little they have seen; nothing
but the trust region bounds a step, no norm of the gradient.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..envs import Env
from ..transforms import fast_convs
from . import kfac
from .advantages import gae
from .heads import refuse_without_actor_critic
from .ppo import masked_mean
from .rollout import Episodes, Transition, rollout
from .settings import check_settings
from .train import Train, first_params


@dataclass(frozen=True)
class ACKTR:
    """The defaults are Baselines' for Atari, with 32 environments."""

    steps: int = 10_000_000  #: environment steps of the whole training, over all environments of one agent
    num_steps: int = 20  #: steps of each environment between two updates
    learning_rate: float = 0.25  #: largest scale of a step along the natural gradient, at the start
    anneal: bool = True  #: bring it linearly to 0
    max_kl: float = 0.001  #: trust region: a step changes the outputs by at most this much, as the Fisher matrix sees it
    damping: float = 0.01  #: added to the Fisher matrix before it is inverted
    decay: float = 0.99  #: of the running means of the factors
    momentum: float = 0.9  #: of the running mean of the steps
    inverse_every: int = 10  #: updates between two inversions
    discount: float = 0.99  #: gamma
    gae_lambda: float = 1.0  #: lambda of generalised advantage estimation; 1 for n-step returns
    entropy_coef: float = 0.01  #: weight of the entropy bonus
    value_coef: float = 0.5  #: weight of the squared error of the value

    def __post_init__(self) -> None:
        check_settings(
            self,
            counts=("steps", "num_steps", "inverse_every"),
            positive=("learning_rate", "max_kl", "damping"),
            not_negative=("entropy_coef", "value_coef"),
            parts=("discount", "gae_lambda", "decay", "momentum"),
            flags=("anneal",),
        )
        for name in ("decay", "momentum"):
            if getattr(self, name) == 1:
                raise ValueError(f"{name} is 1: nothing would ever be learned; expected less")


class ACKTRState(NamedTuple):
    params: Any
    kfac: kfac.KFACState
    env_state: Any
    timestep: Any
    key: jax.Array
    update: jax.Array


class ACKTRMetrics(NamedTuple):
    """Of one update. `step_scale` is what the natural gradient was multiplied by: the learning rate, or less at the border
    of the trust region. `approx_kl` is measured on every fourth state, between the policies before and after. `episodes`
    ended in its rollout."""

    episodes: Episodes
    policy_loss: jax.Array
    value_loss: jax.Array
    entropy: jax.Array
    approx_kl: jax.Array
    step_scale: jax.Array
    grad_norm: jax.Array


# ----------------------------------------------------------------------------------------------------------- losses


def actor_critic_loss(config: ACKTR, out: Any, old: Transition, advantage: jax.Array, target: jax.Array):
    """Advantage actor-critic, of Output[n ...]: Wu et al. 2017, section 3.1; (loss, (policy, value, entropy, log_probs))."""
    log_probs = jax.nn.log_softmax(out.logits)
    log_prob = jnp.take_along_axis(log_probs, old.action[:, None], 1)[:, 0]
    policy_loss = -masked_mean(log_prob * advantage, old.valid)
    value_loss = masked_mean((out.value - target) ** 2, old.valid)
    entropy = masked_mean(-(jnp.exp(log_probs) * log_probs).sum(-1), old.valid)
    loss = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy
    return loss, (policy_loss, value_loss, entropy, log_probs)


def fisher_loss(key: jax.Array, out: Any) -> jax.Array:
    """Minus the log-likelihood of an action and a value drawn from Output[n ...]: sum over n.

    p(a, v | s) = policy(a | s) N(v; value(s), 1), whose Fisher matrix K-FAC approximates: section 3.1.
    """
    key_action, key_value = jax.random.split(key)
    action = jax.random.categorical(key_action, jax.lax.stop_gradient(out.logits))
    drawn = jax.lax.stop_gradient(out.value) + jax.random.normal(key_value, out.value.shape)
    log_prob = jnp.take_along_axis(jax.nn.log_softmax(out.logits), action[:, None], 1)
    return 0.5 * ((out.value - drawn) ** 2).sum() - log_prob.sum()


def make_learn(config: ACKTR, network: Any, layers: dict[str, kfac.Layer], policy: Any) -> Any:
    """One step along the natural gradient: `learn(params, state, batch, key, left) -> (params, state, numbers)`.

    `batch`: a `Transition` [n ...], its advantages and targets [n]; `left` of the learning rate, 1 at the start. The numbers
    are those of `ACKTRMetrics`, without its episodes.
    """
    settings = {name: getattr(config, name) for name in ("damping", "decay", "max_kl", "momentum", "inverse_every")}

    def learn(params: Any, state: kfac.KFACState, batch: tuple, key: jax.Array, left: jax.Array) -> tuple:
        out, pull, inputs = kfac.watched(network, layers, params, batch[0].obs, fast_convs)  # forward once, backward twice
        loss = lambda out: actor_critic_loss(config, out, *batch)  # noqa: E731
        slope, (policy_loss, value_loss, entropy, log_probs) = jax.grad(loss, has_aux=True)(out)
        blocks = kfac.as_blocks(layers, pull(slope)[0])
        slopes = pull(jax.grad(lambda out: fisher_loss(key, out))(out))[1]
        fresh = {k: kfac.measure(layer, inputs[k], slopes[k], batch[0].valid) for k, layer in layers.items()}
        step, state, scale = kfac.update(state, blocks, fresh, learning_rate=config.learning_rate * left, **settings)
        params = jax.tree.map(jnp.add, params, kfac.as_params(layers, step, params))
        obs, valid, before = (x[::4] for x in (batch[0].obs, batch[0].valid, log_probs))
        kl = masked_mean((jnp.exp(before) * (before - jax.nn.log_softmax(policy(params, obs).logits))).sum(-1), valid)
        norm = jnp.sqrt(sum((block**2).sum() for block in blocks.values()))
        return params, state, (policy_loss, value_loss, entropy, kl, scale, norm)

    return learn


# -------------------------------------------------------------------------------------------------- init and update


def make_train(config: ACKTR, env: Env, network: Any) -> Train:
    """`Train(init, update)` of `network` (a linen module of dense and convolutional layers, actor and critic) on `env`.

    Convolutions take the form that is fastest on this backend (`transforms.fast_convs`).
    Raises ValueError where `config.steps` is less than one update, for a network without logits and value, or one that K-FAC
    does not know.
    """
    per_update = config.num_steps * env.num_envs
    num_updates = config.steps // per_update
    if num_updates < 1:
        raise ValueError(f"steps={config.steps} is less than one update: {config.num_steps} x {env.num_envs} steps")
    refuse_without_actor_critic(network, env.obs_shape)
    policy = jax.vmap(fast_convs(network.apply), (None, 0))
    obs = jax.eval_shape(lambda key: env.reset(key)[1].obs[0], jax.random.key(0))
    layers = kfac.find_layers(network, jax.eval_shape(network.init, jax.random.key(0), obs), obs)

    def init(key: jax.Array) -> ACKTRState:
        key, key_net, key_env = jax.random.split(key, 3)
        env_state, timestep = env.reset(key_env)
        params = first_params(network, key_net, jnp.zeros(env.obs_shape, timestep.obs.dtype))
        return ACKTRState(params, kfac.init(layers, params), env_state, timestep, key, jnp.zeros((), jnp.int32))

    learn = make_learn(config, network, layers, policy)

    def update(state: ACKTRState) -> tuple[ACKTRState, ACKTRMetrics]:
        key, key_act, key_fisher = jax.random.split(state.key, 3)
        act = lambda obs: policy(state.params, obs)  # noqa: E731
        (env_state, timestep), taken, episodes = rollout(
            env.step, act, state.env_state, state.timestep, key_act, config.num_steps
        )
        last_value = act(timestep.obs).value
        advantage = gae(taken.reward, taken.value, taken.done, last_value, config.discount, config.gae_lambda)
        batch = (taken, advantage, advantage + taken.value)
        batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)  # [T B ...] -> [n ...]
        left = 1.0 - state.update / num_updates if config.anneal else jnp.ones(())
        params, moved, parts = learn(state.params, state.kfac, batch, key_fisher, left)
        state = ACKTRState(params, moved, env_state, timestep, key, state.update + 1)
        return state, ACKTRMetrics(episodes, *parts)

    return Train(init, update, num_updates, per_update)
