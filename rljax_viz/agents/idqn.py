"""The interpretable DQN, Annasamy & Sycara 2019, arXiv:1809.05630: four losses, and exploration by uncertainty.

Differs: FACTS I2 (the projection is right on any support), I3 (sign of the variance), I5 (the squared error is a sum over
pixels), I6 (weights as printed in the paper), I7 (double-DQN target, Huber, logarithm in the cross entropy), I8 (gradients
are scaled down by their norm over all parameters, keys included; in the authors' code layer by layer, and never those of
keys). A game cut short by its time limit counts as ended: `Info.final_obs` is not valued.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ..envs import Env
from ..transforms import fast_convs
from .q_learning import Learner, QLearning, make_q_train
from .replay import Batch
from .settings import check_settings
from .train import Train


@dataclass(frozen=True)
class IDQN(QLearning):
    """The defaults are those of table 3; how often the learning rate is halved comes from the authors' code (FACTS I9)."""

    replay_size: int = 10_000  #: steps in memory, over all environments
    learn_start: int = 10_000  #: steps played before anything is learned; the mean frame is taken over them
    target_every: int = 250  #: gradient steps between two copies to the target: table 3's 1,000 are steps of the game
    learning_rate: float = 2.5e-4  #: of Adam, at the start
    adam_eps: float = 1e-8  #: of Adam
    halve_every: int = 2_000_000  #: environment steps after which the learning rate is halved
    smallest_rate: float = 1e-6  #: it stays there
    exploration: float = 0.01  #: lambda_exp: how much an action's uncertainty speaks for it
    bellman: float = 1.0  #: lambda_1, weight of the Bellman error
    distributional: float = 1.0  #: lambda_2, weight of the distributional error
    reconstruction: float = 0.05  #: lambda_3, weight of the reconstruction error
    diversity: float = 0.01  #: lambda_4, weight of the diversity error
    diversity_over: str = "batch"  #: "batch" as in the paper, "actions" as in the authors' code (FACTS I4)
    kl: float = 0.0  #: beta of a VAE decoder (an option of the network: --set decoder=vae); more than 0 only with one

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.diversity_over not in DIVERSITY:
            raise ValueError(f"diversity_over is {self.diversity_over!r}, expected one of {sorted(DIVERSITY)}")
        weights = ("bellman", "distributional", "reconstruction", "diversity", "kl")
        check_settings(self, counts=("halve_every",), not_negative=("smallest_rate", "exploration", *weights))


# ------------------------------------------------------------------------------------------------------- four losses


def project(values: jax.Array, probability: jax.Array, reward: jax.Array, discount: jax.Array) -> jax.Array:
    """The law of reward + discount * V, for V = values[N] with probability[N], brought back onto `values`: [N].

    Mass between two neighbours goes to both, so that the mean stays; what lies outside goes to the outermost.
    Bellemare et al. 2017, eq. 7, arXiv:1707.06887. Differs: FACTS I2, `values` may be unsorted and unevenly spaced.
    """
    order = jnp.argsort(values)
    grid = values[order]
    moved = jnp.clip(reward + discount * values, grid[0], grid[-1])
    above = jnp.clip(jnp.searchsorted(grid, moved), 1, len(grid) - 1)
    low, high = grid[above - 1], grid[above]
    share = jnp.clip((moved - low) / jnp.maximum(high - low, 1e-12), 0.0, 1.0)
    sorted_mass = jnp.zeros_like(probability).at[above].add(probability * share).at[above - 1].add(probability * (1 - share))
    return jnp.zeros_like(probability).at[order].set(sorted_mass)


def diversity_over_batch(weights: jax.Array, action: jax.Array, mask: jax.Array) -> jax.Array:
    """||A A^T - I||^2 (Frobenius) for A[B N], the weights of the actions taken; rows where `mask` is 0 count nothing.

    weights[B A N]. Annasamy & Sycara 2019, "Diversity error".
    """
    taken = jnp.take_along_axis(weights, action[:, None, None], 1)[:, 0]
    both = mask[:, None] * mask[None]
    return (both * (taken @ taken.T - jnp.eye(len(taken))) ** 2).sum()


def diversity_over_actions(weights: jax.Array, action: jax.Array, mask: jax.Array) -> jax.Array:
    """||S^T S - I||^2 / B for S[A*N B], the weights of all actions: the authors' code, FACTS I4. weights[B A N]."""
    rows = weights.reshape(len(weights), -1)
    both = mask[:, None] * mask[None]
    return (both * (rows @ rows.T - jnp.eye(len(rows))) ** 2).sum() / jnp.maximum(mask.sum(), 1.0)


DIVERSITY = {"batch": diversity_over_batch, "actions": diversity_over_actions}


def reconstruction_error(image: jax.Array, obs: jax.Array, mean: jax.Array) -> jax.Array:
    """1/2 sum over pixels (image - (obs - mean) / 255)^2 of one frame stack, FACTS I5."""
    return 0.5 * ((image - (obs.astype(jnp.float32) - mean) / 255.0) ** 2).sum()


def kl_to_normal(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over the embedding. Kingma & Welling 2014, appendix B."""
    return 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance).sum()


def idqn_loss(
    config: IDQN, policy: Any, params: Any, target: Any, batch: Batch, noisy: Any = None
) -> tuple[Any, tuple]:
    """lambda_1 Bellman + lambda_2 distributional + lambda_3 reconstruction + lambda_4 diversity (+ beta KL).

    `noisy` is `policy` with a VAE's noise in what it decodes; None of a network that draws nothing.
    Gives `(loss, (error[N], {name: scalar}))`; all but diversity are means over the batch.
    """
    params = {**params, "constants": jax.lax.stop_gradient(params["constants"])}
    mask = (batch.weight > 0).astype(jnp.float32)
    mean = lambda x: (batch.weight * x).sum() / jnp.maximum(mask.sum(), 1.0)  # noqa: E731
    pick = lambda x, action: jax.vmap(lambda row, a: row[a])(x, action)  # noqa: E731
    out, following = (noisy or policy)(params, batch.obs), policy(target, batch.next_obs)
    best = policy(params, batch.next_obs).q.argmax(-1)
    aim = jax.lax.stop_gradient(batch.reward + batch.discount * pick(following.q, best))
    error = pick(out.q, batch.action) - aim
    values, frame = target["constants"]["values"], params["constants"]["mean"]
    law = jax.vmap(project, (None, 0, 0, 0))(values, pick(following.weights, best), batch.reward, batch.discount)
    cross = -(jax.lax.stop_gradient(law) * jnp.log(pick(out.weights, batch.action) + 1e-6)).sum(-1)
    parts = {
        "bellman": mean(optax.losses.huber_loss(error)),
        "distributional": mean(cross),
        "reconstruction": mean(jax.vmap(reconstruction_error, (0, 0, None))(out.reconstruction, batch.obs, frame)),
        "diversity": DIVERSITY[config.diversity_over](out.weights, batch.action, mask),
    }
    if out.log_variance is not None:
        parts["kl"] = mean(jax.vmap(kl_to_normal)(out.embedding, out.log_variance))
    loss = sum(getattr(config, name) * part for name, part in parts.items())
    return loss, (error, {**parts, "q": mean(pick(out.q, batch.action))})


# -------------------------------------------------------------------------------------------------- init and update


def upper_bound(out: Any, exploration: float) -> jax.Array:
    """The action with the highest q + lambda_exp * uncertainty of an `Output`, int32 [...].

    Annasamy & Sycara 2019, "Directed exploration".
    """
    return (out.q + exploration * out.uncertainty).argmax(-1).astype(jnp.int32)


def make_train(config: IDQN, env: Env, network: Any) -> Train:
    """`Train(init, update)` of an i-DQN `network` on `env`.

    Raises ValueError where `config` does not suit `env` (see `q_learning.pace`), or the network has no keys.
    """
    if not hasattr(network, "keys"):
        raise ValueError(f"{type(network).__name__} has no keys; i-DQN takes --network idqn or minatar-idqn")
    decoder = getattr(network, "decoder", "ae")
    if config.kl and decoder == "ae":
        raise ValueError(
            f"kl is {config.kl}, and the decoder is 'ae', an auto-encoder, which has nothing for it to weigh: take a VAE, "
            "--set decoder=vae (or dense-vae), from Python networks.make(..., decoder=\"vae\"); or leave kl at 0"
        )
    f = fast_convs(network.apply)
    policy = jax.vmap(f, (None, 0))

    def observe(params: Any, obs: jax.Array, count: jax.Array) -> Any:
        """The mean frame over what was seen so far, FACTS I5."""
        mean = params["constants"]["mean"]
        mean = mean + (obs.astype(jnp.float32).mean(0) - mean) / (count + 1)
        return {**params, "constants": {**params["constants"], "mean": mean}}

    def draws(key: jax.Array) -> Any:
        """The policy with noise in what a VAE decodes, Kingma & Welling 2014; None of an auto-encoder."""
        if decoder == "ae":
            return None
        each = jax.vmap(lambda params, obs, key: f(params, obs, rngs={"noise": key}), (None, 0, 0))
        return lambda params, obs: each(params, obs, jax.random.split(key, len(obs)))

    def rate(lesson: Any) -> Any:
        halvings = lesson * config.learn_every // config.halve_every
        return jnp.maximum(config.learning_rate * 0.5**halvings, config.smallest_rate)

    learner = Learner(
        choose=lambda key, params, obs, step: upper_bound(policy(params, obs), config.exploration),
        loss=lambda params, target, batch, key: idqn_loss(config, policy, params, target, batch, draws(key)),
        observe=observe,
        learning_rate=rate,
    )
    return make_q_train(config, env, network, learner, "i-DQN")
