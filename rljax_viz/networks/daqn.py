"""Deep attention Q-network without its memory: one softmax map chooses what the agent sees."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import POLICY, RETURN, conv, dense, head
from rljax_viz.networks.minatar import minatar_convs
from rljax_viz.networks.nature import nature_convs
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


class DAQN(nn.Module):
    """Nature convolutions, a softmax over the pixels, and the mean of the features under it; actor-critic heads.

    apply(params, obs[H W C]) -> Output(logits[A], value[], attention[h w]), the attention sums to 1. Tags `conv1 conv2 conv3
    attention fc`. 130,726 parameters with 84x84x4 and 4 actions. small: our twin for MinAtar, two convolutions, tags `conv1
    conv2 attention fc`.
    Sorokin et al. 2015, arXiv:1512.01693, as in Nikulin et al. 2019, arXiv:1908.02511, figure 2b: without recurrence,
    under PPO. Raises ValueError if `obs` is not [H W C] with sides of 36 or more.
    """

    num_actions: int
    small: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = (minatar_convs if self.small else nature_convs)(obs, "daqn", self.dtype)
        look, units = (32, 128) if self.small else (256, 512)
        h = conv(1, 1, 1, "VALID", "attend", self.dtype)(nn.tanh(conv(look, 1, 1, "VALID", "look", self.dtype)(x)))
        h = tag(nn.softmax(h[..., 0].astype(jnp.float32), axis=(0, 1)), "attention")
        x = jnp.einsum("hwc,hw->c", x, h.astype(self.dtype))
        x = tag(nn.relu(dense(units, "fc", self.dtype)(x)), "fc")
        return Output(
            logits=head(self.num_actions, POLICY, "logits")(x),
            value=head(1, RETURN, "value")(x)[0],
            attention=h,
        )
