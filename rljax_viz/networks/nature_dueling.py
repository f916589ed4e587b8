"""The Nature CNN with dueling value and advantage streams."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import RETURN, dense, head
from rljax_viz.networks.nature import nature_convs
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


class NatureDueling(nn.Module):
    """Nature convolutions and two streams of 512 units: q = value + advantage, exactly.

    apply(params, obs[H W C]) -> Output(q[A], value[], advantage[A]), all in units of return; `advantage` has mean 0,
    the stream before the mean is taken off is tagged `advantage_raw`. Other tags `conv1 conv2 conv3 fc_value
    fc_advantage`.
    Wang et al. 2016, eq. 9, arXiv:1511.06581. Differs: FACTS R3, the mean runs over the
    actions of one observation, and both streams end in a ReLU.
    Raises ValueError if `obs` is not [H W C] with sides of 36 or more.
    """

    num_actions: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = nature_convs(obs, "nature-dueling", self.dtype).reshape(-1)
        for_value = tag(nn.relu(dense(512, "fc_value", self.dtype)(x)), "fc_value")
        for_advantage = tag(nn.relu(dense(512, "fc_advantage", self.dtype)(x)), "fc_advantage")
        value = head(1, RETURN, "value")(for_value)[0]
        raw = tag(head(self.num_actions, RETURN, "advantage")(for_advantage), "advantage_raw")
        advantage = raw - raw.mean()
        return Output(q=value + advantage, value=value, advantage=advantage)
