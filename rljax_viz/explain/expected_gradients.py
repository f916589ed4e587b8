"""Integrated gradients without a baseline of one's choice: averaged over the agent's own frames."""

from typing import Any

import jax
import jax.numpy as jnp

from rljax_viz.explain.contract import Explain, Network, Score, as_float, objective


def expected_gradients(f: Network, score: Score, baselines: Any, samples: int = 50) -> Explain:
    """What each pixel adds to the score, beside what frames of the same agent have there.

    explain(key, params, obs, *rest) -> float32, shape of `obs`, score units: the mean of (obs - b) * slope at
    b + alpha (obs - b), b drawn from `baselines` [N, *obs.shape] (units of obs) and alpha uniform in [0, 1]. Sums to
    score(obs) - mean score of the baselines, in expectation. Memory does not grow with `samples`.
    Erion et al. 2021, eq. 3, arXiv:1906.10670. Differs: nothing.
    Raises ValueError for samples < 1, no baseline, baselines of another shape, or a score that is not one number.
    """
    if samples < 1:
        raise ValueError(f"expected gradients need samples >= 1, got {samples}")
    slope = jax.grad(objective(f, score), argnums=1)

    def explain(key: jax.Array, params: Any, obs: jax.Array, *rest: Any) -> jax.Array:
        obs, frames = as_float(obs), jnp.asarray(baselines)
        if frames.shape[1:] != obs.shape or not len(frames):
            raise ValueError(
                f"baselines are frames [N, {', '.join(map(str, obs.shape))}] like the observation, got {frames.shape}; "
                "e.g. rljax_viz.open(run).episodes.observations[:256]"
            )

        def add(total: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
            which, how_far = jax.random.split(key)
            start = as_float(frames[jax.random.randint(which, (), 0, len(frames))])
            point = start + jax.random.uniform(how_far) * (obs - start)
            return total + (obs - start) * slope(params, point, *rest), None

        total, _ = jax.lax.scan(add, jnp.zeros(obs.shape, jnp.float32), jax.random.split(key, samples))
        return total / samples

    return explain
