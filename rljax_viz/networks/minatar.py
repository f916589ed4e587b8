"""The small network of MinAtar, with actor-critic heads."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import POLICY, RETURN, conv, dense, head
from rljax_viz.networks.frames import scaled
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


def minatar_convs(obs: jax.Array, network: str, dtype: Any) -> jax.Array:
    """Two convolutions, for twins of Nature's networks that see 10x10.

    obs[H W C], 0..255 -> [h w 16] after the last ReLU; 10x10 gives 8x8, 4x4. Tags `conv1 conv2`. Ours.
    """
    x = scaled(obs, 4, network, dtype)
    x = tag(nn.relu(conv(16, 3, 1, "VALID", "conv1", dtype)(x)), "conv1")
    return tag(nn.relu(conv(16, 2, 2, "VALID", "conv2", dtype)(x)), "conv2")


class MinAtar(nn.Module):
    """One 3x3 convolution of 16 features, 128 units, logits and value.

    apply(params, obs[10 10 C]) -> Output(logits[A], value[]), value in units of return. Tags `conv1 fc`.
    Young & Tian 2019, section 3, arXiv:1903.03176 (no padding: 10x10 gives 8x8). Differs: initialisation as in
    Baselines, ReLU for actor-critic too (they use SiLU there), and frames of 0..255 in place of booleans.
    Raises ValueError if `obs` is not [H W C] with sides of 3 or more.
    """

    num_actions: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = scaled(obs, 3, "minatar", self.dtype)
        x = tag(nn.relu(conv(16, 3, 1, "VALID", "conv1", self.dtype)(x)), "conv1")
        x = tag(nn.relu(dense(128, "fc", self.dtype)(x.reshape(-1))), "fc")
        return Output(
            logits=head(self.num_actions, POLICY, "logits")(x),
            value=head(1, RETURN, "value")(x)[0],
        )
