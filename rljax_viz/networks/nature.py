"""The Nature CNN with actor-critic heads."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import POLICY, RETURN, conv, dense, head
from rljax_viz.networks.frames import scaled
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


def nature_convs(obs: jax.Array, network: str, dtype: Any) -> jax.Array:
    """The three convolutions of Mnih et al. 2015, for use inside a compact module.

    obs[H W C], 0..255 -> [h w 64] after the last ReLU; 84x84 gives 20x20, 9x9, 7x7. Tags `conv1 conv2 conv3`.
    """
    x = scaled(obs, 36, network, dtype)
    x = tag(nn.relu(conv(32, 8, 4, "VALID", "conv1", dtype)(x)), "conv1")
    x = tag(nn.relu(conv(64, 4, 2, "VALID", "conv2", dtype)(x)), "conv2")
    return tag(nn.relu(conv(64, 3, 1, "VALID", "conv3", dtype)(x)), "conv3")


class Nature(nn.Module):
    """Nature convolutions, 512 units, logits and value; 1,686,693 parameters with 84x84x4 and 4 actions.

    apply(params, obs[H W C]) -> Output(logits[A], value[]), value in units of return. Tags `conv1 conv2 conv3 fc`.
    Mnih et al. 2015, doi:10.1038/nature14236, figure 1 and methods; heads as in Schulman et al. 2017, arXiv:1707.06347.
    Differs: nothing. Raises ValueError if `obs` is not [H W C] with sides of 36 or more.
    """

    num_actions: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = nature_convs(obs, "nature", self.dtype).reshape(-1)
        x = tag(nn.relu(dense(512, "fc", self.dtype)(x)), "fc")
        return Output(
            logits=head(self.num_actions, POLICY, "logits")(x),
            value=head(1, RETURN, "value")(x)[0],
        )
