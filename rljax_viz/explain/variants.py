"""The network on many altered copies of one observation, a few alive at a time."""

from collections.abc import Callable
from typing import Any

import jax

BATCH = 17  # copies at once: a row of Greydanus' grid on 84x84, and little enough for the cache


def over_variants(f: Callable[[Any], Any], variants: Any, batch: int = BATCH) -> Any:
    """f(v) for every row v of the pytree `variants`, at most `batch` rows at once; the answers stacked."""
    count = len(jax.tree.leaves(variants)[0])
    batch = -(-count // -(-count // batch))  # 20 by 17: two batches of 10, not one of 17 and a program for three more
    return jax.lax.map(f, variants, batch_size=batch if batch > 1 else None)
