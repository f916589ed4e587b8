"""Layer-wise relevance propagation, as gradients with another backward rule."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, evaluate
from rljax_viz.transforms import epsilon_rule, z_plus_rule


def lrp(f: Network, score: Score, rule: Literal["epsilon", "z_plus"] = "epsilon", epsilon: float = 1e-6) -> Explain:
    """The score, handed down from layer to layer in proportion to what each unit put into it.

    explain(params, obs, *rest) -> float32, shape of `obs`, score units. `rule="epsilon"`: shares x w / (z + epsilon sign z)
    in every layer, biases keeping theirs. `rule="z_plus"`: every convolution or product before a ReLU shares by positive
    weights alone and its bias takes nothing; layers with no ReLU (heads) share by the epsilon rule with epsilon 0.
    A score that picks one output; of others, each output starts with its slope.
    Bach et al. 2015, eq. 56 and 58-60, doi:10.1371/journal.pone.0130140; Montavon et al. 2017, arXiv:1512.02479 (z-plus).
    Differs: the epsilon rule by modified gradients (Ancona et al. 2018, arXiv:1711.06104), equal for ReLU networks.
    Raises ValueError for an unknown rule, a negative epsilon, an `f` without ReLU, or a score that is not one number.
    """
    if rule not in ("epsilon", "z_plus"):
        raise ValueError(f"rule={rule!r} is unknown; choose 'epsilon' or 'z_plus'")
    if epsilon < 0:
        raise ValueError(f"epsilon keeps a quotient from zero and is not negative, got {epsilon}")
    ruled = epsilon_rule(f, epsilon) if rule == "epsilon" else z_plus_rule(f)

    def explain(params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        obs = as_float(obs)
        s, slope = jax.value_and_grad(lambda x: evaluate(score, ruled(params, x, *rest)))(obs)
        last = epsilon if rule == "epsilon" else 0.0
        kept = jnp.where(s != 0, s / jnp.where(s != 0, s + last * jnp.sign(s), 1), 1)  # the output is a layer, too
        return obs * slope.astype(jnp.float32) * kept

    return explain
