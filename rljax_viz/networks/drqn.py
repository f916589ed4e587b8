"""Recurrent q-networks: DRQN, and DARQN, which attends to places of the frame by what it remembers."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.a3c import remember
from rljax_viz.networks.baselines import RETURN, conv, dense, head, orthogonal
from rljax_viz.networks.frames import scaled
from rljax_viz.networks.nature import nature_convs
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


class DRQN(nn.Module):
    """Convolutions, an LSTM, and dueling streams: q = value + advantage, exactly.

    apply(params, obs[H W C], carry=None) -> Output(q[A], value[], advantage[A], carry; attention[h w] where it attends), in
    units of return; with `carry=None` the memory is empty, as at the start of an episode. Tags `conv1 conv2 conv3 lstm
    advantage_raw`, and `attention`; `small` (MinAtar) has `conv1` alone.
    Hausknecht & Stone 2015, arXiv:1507.06527: convolutions straight into an LSTM of 512 units; Sorokin et al. 2015,
    arXiv:1512.01693, eq. 5-7: soft attention over places, softmax of Linear(tanh(Linear(place) + W h)). Differs: dueling
    heads (Wang et al. 2016) on the LSTM; DARQN attends over 64 channels (there 256).
    Raises ValueError if `obs` is not [H W C] with sides of 36 or more (`small`: 3).
    """

    num_actions: int
    attends: bool = False
    small: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array, carry: Any = None) -> Output:
        if self.small:
            x = scaled(obs, 3, "minatar-drqn", self.dtype)
            x = tag(nn.relu(conv(16, 3, 1, "VALID", "conv1", self.dtype)(x)), "conv1")
        else:
            x = nature_convs(obs, "darqn" if self.attends else "drqn", self.dtype)
        width, attention = 128 if self.small else 512, None
        if carry is None:
            carry = (jnp.zeros(width), jnp.zeros(width))
        if self.attends:
            x = x.astype(jnp.float32)
            seen = nn.Dense(256, name="place")(x) + nn.Dense(256, use_bias=False, name="recall")(carry[1])[None, None]
            weights = nn.Dense(1, name="attend")(jnp.tanh(seen))[..., 0]
            attention = tag(jax.nn.softmax(weights.reshape(-1)).reshape(weights.shape), "attention")
            x = (x * attention[..., None]).sum((0, 1))
        h, carry = remember(width, x.reshape(-1), carry)
        value = head(1, RETURN, "value")(h)[0]
        raw = tag(head(self.num_actions, RETURN, "advantage")(h), "advantage_raw")
        advantage = raw - raw.mean()
        return Output(q=value + advantage, value=value, advantage=advantage, attention=attention, carry=carry)


class SplitAttention(nn.Module):
    """Split-attention DDDRQN: a window of frames, and two bidirectional LSTM streams that attend to time, each for itself.

    apply(params, obs[H W T*c]) -> Output(q[A], value[], advantage[A]) in units of return; T = `window` frames of c channels
    side by side, the newest LAST; with a `window` of 0 each channel is a frame. Convolutions and 512 units run on every
    frame alike; per stream two bidirectional LSTMs (512, merged by sum) give V (1) and A (n) at every step, weighted by
    softmax over time of tanh(Linear); the two duel at each step, are summed over time, and a linear layer gives q.
    `value` is the sum of the weighted V, `advantage` that of the weighted A without their mean: q is not their sum, but
    a layer's view of it. Each frame has its own tags, so that methods for layers look at one moment: `conv1.t0 ...
    conv3.t<T-1>`; besides `fc` [T 512], `attention_value`, `attention_advantage` [T]. `small` (MinAtar) has `conv1`
    alone, and 64 units.
    Rosynski et al. 2020, arXiv:2012.01281, section 4, FACTS R7. Differs: ReLU in both streams' first layer, which they share
    (FACTS R3), logits of attention of one unit a step.
    Raises ValueError if `obs` is not [H W C] with sides of 36 or more (`small`: 3), or `window` does not divide C.
    """

    num_actions: int
    small: bool = False
    window: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = scaled(obs, 3 if self.small else 36, "split-attention", self.dtype)
        x = self._frames(x)
        layers = ((16, 3, 1),) if self.small else ((32, 8, 4), (64, 4, 2), (64, 3, 1))
        for number, (features, size, stride) in enumerate(layers, 1):
            x = nn.relu(conv(features, size, stride, "VALID", f"conv{number}", self.dtype)(x))
            x = jnp.stack([tag(frame, f"conv{number}.t{t}") for t, frame in enumerate(x)])
        width = 64 if self.small else 512
        x = tag(nn.relu(dense(width, "fc", self.dtype)(x.reshape(len(x), -1))), "fc").astype(jnp.float32)
        value = self._stream("value", x, 1, width)
        raw = self._stream("advantage", x, self.num_actions, width)
        advantage = raw - raw.mean(-1, keepdims=True)
        q = head(self.num_actions, RETURN, "q")((value + advantage).sum(0))
        return Output(q=q, value=value.sum(), advantage=advantage.sum(0))

    def _frames(self, x: jax.Array) -> jax.Array:
        """[H W T*c] as [T H W c]."""
        channels, window = x.shape[-1], self.window or x.shape[-1]
        if channels % window:
            raise ValueError(
                f"this split-attention looks at {window} frames, and {channels} channels do not divide into them; show it "
                f"a stack: envs.make(env_id, num_envs, stack={window}), on the command line --algo split-attention"
            )
        return jnp.moveaxis(x.reshape(*x.shape[:2], window, channels // window), 2, 0)

    def _stream(self, name: str, x: jax.Array, features: int, width: int) -> jax.Array:
        for number in (1, 2):
            forward, backward = (
                nn.RNN(nn.OptimizedLSTMCell(width, recurrent_kernel_init=orthogonal(), name=f"{name}_{way}{number}"))
                for way in ("forward", "backward")
            )
            both: Any = nn.Bidirectional(forward, backward, merge_fn=lambda a, b: a + b, name=f"{name}_lstm{number}")(x)
            x = both
        out = nn.Dense(features, name=f"{name}_step")(x)
        weights = jax.nn.softmax(jnp.tanh(nn.Dense(1, name=f"{name}_attend")(out))[:, 0])
        return out * tag(weights, f"attention_{name}")[:, None]
