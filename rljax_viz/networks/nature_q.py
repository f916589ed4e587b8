"""The Nature CNN as it was first used: one value an action."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import RETURN, dense, head
from rljax_viz.networks.nature import nature_convs
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


class NatureQ(nn.Module):
    """Nature convolutions, 512 units, q; 1,686,180 parameters with 84x84x4 and 4 actions.

    apply(params, obs[H W C]) -> Output(q[A]) in units of return. Tags `conv1 conv2 conv3 fc`.
    Mnih et al. 2015, doi:10.1038/nature14236, figure 1 and methods. Differs: orthogonal initialisation.
    Raises ValueError if `obs` is not [H W C] with sides of 36 or more.
    """

    num_actions: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = nature_convs(obs, "nature-q", self.dtype).reshape(-1)
        x = tag(nn.relu(dense(512, "fc", self.dtype)(x)), "fc")
        return Output(q=head(self.num_actions, RETURN, "q")(x))
