"""What a network answers about one observation."""

from typing import Any, NamedTuple

import jax


class Output(NamedTuple):
    """The heads of an agent for ONE observation; None where it has none.

    q[A], value[], advantage[A], logits[A], attention[h w], action[] int32, carry (any tree). `q`, `value` and
    `advantage` are in units of return; where all three are given, `q = value + advantage` exactly, but for networks with a
    layer between the streams and q (`networks.MIXED`: split attention). `action` is the one that was taken, set by `record`
    and not by a network. Read it by name: fields may be added behind the last one.
    """

    q: jax.Array | None = None
    value: jax.Array | None = None
    advantage: jax.Array | None = None
    logits: jax.Array | None = None
    attention: jax.Array | None = None
    action: jax.Array | None = None
    carry: Any = None
    uncertainty: jax.Array | None = None
    weights: jax.Array | None = None
    embedding: jax.Array | None = None
    reconstruction: jax.Array | None = None
    log_variance: jax.Array | None = None
