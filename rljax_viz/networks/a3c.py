"""The networks of A3C and A3C-LSTM as they are explained by Rosynski et al."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import POLICY, RETURN, conv, dense, head, orthogonal
from rljax_viz.networks.frames import scaled
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


class A3C(nn.Module):
    """Three convolutions, the last with stride TWO, 256 units, actor and critic; with `memory` an LSTM of 256 units behind.

    apply(params, obs[H W C], carry=None) -> Output(logits[A], value[], carry), value in units of return; without a memory the
    carry is None; where None is given the memory is empty, as at the start of an episode. Tags `conv1 conv2 conv3 fc`, and
    `lstm` (tanh, signed). With `small` one 3x3 convolution of 16 features and 128 units, for MinAtar: tags `conv1 fc lstm`.
    Mnih et al. 2016, arXiv:1602.01783; sizes of Rosynski et al. 2020, arXiv:2012.01281 (FACTS R7). Differs: logits, not
    probabilities, are the output (FACTS R6). The paper shows A3C 3 frames, and gives no number for the A3C-LSTM: here it is
    one, since the memory keeps what came before.
    Raises ValueError if `obs` is not [H W C] with sides of 36 or more (`small`: 3).
    """

    num_actions: int
    memory: bool = False
    small: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array, carry: Any = None) -> Output:
        x = scaled(obs, 3 if self.small else 36, "minatar-lstm" if self.small else "a3c", self.dtype)
        layers = ((16, 3, 1),) if self.small else ((32, 8, 4), (64, 4, 2), (64, 3, 2))
        for number, (features, size, stride) in enumerate(layers, 1):
            x = tag(nn.relu(conv(features, size, stride, "VALID", f"conv{number}", self.dtype)(x)), f"conv{number}")
        width = 128 if self.small else 256
        x = tag(nn.relu(dense(width, "fc", self.dtype)(x.reshape(-1))), "fc")
        if self.memory:
            x, carry = remember(width, x, carry)
        logits, value = head(self.num_actions, POLICY, "logits")(x), head(1, RETURN, "value")(x)[0]
        return Output(logits=logits, value=value, carry=carry)


def remember(width: int, x: jax.Array, carry: Any) -> tuple[jax.Array, Any]:
    """One step of an LSTM of `width` units inside a compact module, in float32: `(h, carry)`. Tag `lstm`."""
    cell = nn.OptimizedLSTMCell(width, recurrent_kernel_init=orthogonal(), name="lstm")
    if carry is None:
        carry = (jnp.zeros(width), jnp.zeros(width))
    carry, h = cell(carry, x.astype(jnp.float32))
    return tag(h, "lstm"), carry
