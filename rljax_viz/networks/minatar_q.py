"""The small network of MinAtar with one value an action, plain or dueling."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import RETURN, conv, dense, head
from rljax_viz.networks.frames import scaled
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


class MinAtarQ(nn.Module):
    """One 3x3 convolution of 16 features, 128 units, q; with `dueling` two streams of 128 units, q = value + advantage.

    apply(params, obs[10 10 C]) -> Output(q[A], and where it duels value[], advantage[A]) in units of return. Tags
    `conv1 fc`, or `conv1 fc_value fc_advantage` and `advantage_raw`, as nature-dueling.
    Young & Tian 2019, section 3, arXiv:1903.03176; Wang et al. 2016, eq. 9, arXiv:1511.06581. Differs: orthogonal
    initialisation, frames of 0..255 in place of booleans.
    Raises ValueError if `obs` is not [H W C] with sides of 3 or more.
    """

    num_actions: int
    dueling: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = scaled(obs, 3, "minatar-q", self.dtype)
        x = tag(nn.relu(conv(16, 3, 1, "VALID", "conv1", self.dtype)(x)), "conv1").reshape(-1)
        if not self.dueling:
            x = tag(nn.relu(dense(128, "fc", self.dtype)(x)), "fc")
            return Output(q=head(self.num_actions, RETURN, "q")(x))
        for_value = tag(nn.relu(dense(128, "fc_value", self.dtype)(x)), "fc_value")
        for_advantage = tag(nn.relu(dense(128, "fc_advantage", self.dtype)(x)), "fc_advantage")
        value = head(1, RETURN, "value")(for_value)[0]
        raw = tag(head(self.num_actions, RETURN, "advantage")(for_advantage), "advantage_raw")
        advantage = raw - raw.mean()
        return Output(q=value + advantage, value=value, advantage=advantage)
