"""Frames are kept once; the stack that an agent saw is gathered from them."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike


def gather_stacks(
    frames: ArrayLike,
    stack_start: ArrayLike,
    index: ArrayLike,
    stack: int = 4,
    padding: Literal["repeat", "zeros"] = "repeat",
) -> jax.Array:
    """The stacks that the agent saw at rows `index`: oldest frame first, the newest LAST.

    frames[N H W c], stack_start[N] (the row where the stack of each row was last refilled), index[...] ->
    [... H W stack*c] of the dtype of `frames`; the c channels of a frame stay side by side.
    Rows before `stack_start` belong to another episode: `repeat` puts the first frame of this one in their place
    (envpool, gymnasium), `zeros` black frames (OpenAI Baselines' VecFrameStack).
    Raises ValueError for other ranks, an unknown padding, stack < 1, or (outside jit) an index that is no row.
    """
    frames, stack_start = jnp.asarray(frames), jnp.asarray(stack_start)
    if frames.ndim != 4 or stack_start.shape != frames.shape[:1]:
        raise ValueError(
            f"gather_stacks takes frames [N H W c] and stack_start [N], got {frames.shape} and {stack_start.shape}; "
            "grey frames [N H W] need a channel: frames[..., None]"
        )
    if padding not in ("repeat", "zeros"):
        raise ValueError(f"gather_stacks pads by 'repeat' or 'zeros', got padding={padding!r}; the preset says which")
    if stack < 1:
        raise ValueError(f"gather_stacks needs stack >= 1, got {stack}")
    index = _checked_rows(index, frames.shape[0])
    rows = index[..., None] + jnp.arange(1 - stack, 1).reshape((1,) * index.ndim + (stack,))
    first = stack_start[index][..., None]
    stacks = frames[jnp.maximum(rows, first)]  # [... stack H W c]
    if padding == "zeros":
        inside = (rows >= first)[..., None, None, None]
        stacks = jnp.where(inside, stacks, jnp.zeros((), frames.dtype))
    stacks = jnp.moveaxis(stacks, -4, -2)  # [... H W stack c]
    return stacks.reshape(*stacks.shape[:-2], -1)


def _checked_rows(index: ArrayLike, n: int) -> jax.Array:
    """`index` as an integer array; rows that do not exist are refused where their values can be seen."""
    if not isinstance(index, Tracer):
        outside = np.asarray(index)[(np.asarray(index) < 0) | (np.asarray(index) >= n)]
        if outside.size:
            raise ValueError(f"gather_stacks: rows {outside[:5].tolist()} do not exist; frames has rows 0..{n - 1}")
    index = jnp.asarray(index)
    if not jnp.issubdtype(index.dtype, jnp.integer):
        raise ValueError(f"gather_stacks needs integer rows, got dtype {index.dtype}")
    return index
