"""Many explanations of one observation, for the price of what they do not share."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from rljax_viz.explain.contract import Explain


def explain_many(explains: Mapping[str, Explain]) -> Callable[..., dict[str, jax.Array]]:
    """One function for several explanations; what they have in common is computed once.

    explain(params, obs, *rest) -> {name: map}, the maps as each would give alone.
    The methods become ONE program under one `jax.jit`, in which XLA merges equal parts: the forward pass, guided slopes
    asked for twice, the layers under a tag. A random method joins with its key: functools.partial(explain, key).
    Raises ValueError if there is nothing to explain.
    """
    explains = dict(explains)
    if not explains:
        raise ValueError("explain_many got no explanation; e.g. explain_many({'gradient': gradient(f, scores.value)})")

    @jax.jit
    def explain(params: Any, obs: jax.Array, *rest: Any) -> dict[str, jax.Array]:
        return {name: one(params, obs, *rest) for name, one in explains.items()}

    return explain
