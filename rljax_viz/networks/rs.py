"""Region-sensitive network: two softmax maps over normalised features."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import POLICY, RETURN, conv, dense, head
from rljax_viz.networks.minatar import minatar_convs
from rljax_viz.networks.nature import nature_convs
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


class RegionSensitive(nn.Module):
    """Nature convolutions on a frame padded by one pixel, features of length 1 in each pixel, times the sum of two softmax
    maps; actor-critic heads.

    apply(params, obs[H W C]) -> Output(logits[A], value[], attention[h w]), the attention sums to 2. Tags `conv1 conv2 conv3
    attention fc`. padding: pixels of zeros around the frame (0 is the paper's "w/o padding"). 1,720,999 parameters with
    84x84x4 and 4 actions. small: our twin for MinAtar, two convolutions, tags `conv1 conv2 attention fc`.
    Yang et al. 2018 (LTIAA), as in Nikulin et al. 2019, arXiv:1908.02511, figures 1c and 2c, under PPO.
    Raises ValueError if `obs` is not [H W C] with sides of 36 or more.
    """

    num_actions: int
    padding: int = 1
    small: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        around = ((self.padding, self.padding), (self.padding, self.padding), (0, 0))
        convs, look, units = (minatar_convs, 64, 128) if self.small else (nature_convs, 512, 512)
        x = convs(jnp.pad(obs, around) if obs.ndim == 3 else obs, "rs", self.dtype)
        x = x * jax.lax.rsqrt(jnp.maximum((x * x).sum(-1, keepdims=True), 1e-12))
        h = conv(2, 1, 1, "VALID", "attend", self.dtype)(nn.elu(conv(look, 1, 1, "VALID", "look", self.dtype)(x)))
        h = tag(nn.softmax(h.astype(jnp.float32), axis=(0, 1)).sum(-1), "attention")
        x = (x * h[..., None].astype(self.dtype)).reshape(-1)
        x = tag(nn.relu(dense(units, "fc", self.dtype)(x)), "fc")
        return Output(
            logits=head(self.num_actions, POLICY, "logits")(x),
            value=head(1, RETURN, "value")(x)[0],
            attention=h,
        )
