"""The interpretable DQN: q is read from a few keys an action, and keys and states can be decoded into frames."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.networks.baselines import conv
from rljax_viz.networks.frames import check_frames
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag

_NORMAL = nn.initializers.normal(0.1)
DECODERS = ("ae", "vae", "dense-vae")


class Decoder(nn.Module):
    """From an embedding [E] back to a centred frame stack [H W C], in units of 255: no output activation.

    `deconvs` are (features, size, stride, (rows, columns)) of the transposed convolutions behind a fully connected layer of
    the shape `begin`; so many rows and columns, which a convolution of those sides leaves over, are added at the end (FACTS
    I11: colour frames of 210x160). `dense` puts another layer of 512 units before it.
    """

    begin: tuple[int, ...]
    deconvs: tuple[tuple[int, int, int, tuple[int, int]], ...]
    dense: bool = False

    @nn.compact
    def __call__(self, h: jax.Array) -> jax.Array:
        if self.dense:
            h = nn.relu(nn.Dense(512, kernel_init=_NORMAL, name="before")(h))
        x = nn.relu(nn.Dense(int(np.prod(self.begin)), kernel_init=_NORMAL, name="fc")(h).reshape(self.begin))
        for number, (features, size, stride, more) in enumerate(self.deconvs):
            if number:
                x = nn.relu(x)
            padding = tuple((size - 1, size - 1 + left_over) for left_over in more)
            x = nn.ConvTranspose(features, (size, size), (stride, stride), padding, name=f"deconv{number + 1}")(x)
        return x


class IDQN(nn.Module):
    """Keys and values: w = softmax_i(h . key_i) for each action, q = w . values; 1,785,412 parameters with 4 actions.

    apply(params, obs[H W C]) -> Output(q[A], uncertainty[A], weights[A N], embedding[E], reconstruction[H W C]), q and
    uncertainty in units of return, the reconstruction of the CENTRED frame in units of 255. Tags `conv1 conv2 conv3
    embedding weights` (`conv1 embedding weights` where `small`). Besides `params` there are `constants`, not trained:
    `values[N]`, and `mean[H W C]`, the mean frame that is taken off (0 until the learner sets it).
    Annasamy & Sycara 2019, eq. 1, arXiv:1809.05630. Differs: FACTS I1 (values="even", evenly spaced from `low` to `high`, is
    what the published figures show; "random" draws them once, as printed), I3 (the uncertainty's sign), I8 (keys N(0, 0.1) as
    printed; convolutions begin orthogonal times sqrt(2), transposed ones as flax has it (LeCun), where the authors' code
    takes Xavier's). A VAE's keys look at the mean; its noise is drawn where `rngs={"noise": key}` is given. The paper gives
    no sizes for the dense VAE: one layer of 512 units more.
    Raises ValueError if `obs` is not [H W C], for an unknown `decoder` or `values`, fewer than two keys, or `low` not below
    `high`.
    """

    num_actions: int
    keys: int = 20
    low: float = -25.0
    high: float = 25.0
    values: str = "even"
    decoder: str = "ae"
    small: bool = False
    dtype: Any = jnp.float32

    @property
    def size(self) -> int:
        """Of an embedding."""
        return 64 if self.small else 256

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        name = "minatar-idqn" if self.small else "idqn"
        check_frames(obs, 3 if self.small else 36, name)
        self._check(name)
        mean = self.variable("constants", "mean", jnp.zeros, obs.shape, jnp.float32).value
        values = self.variable("constants", "values", self._draw_values).value
        x = ((obs.astype(jnp.float32) - mean) / 255.0).astype(self.dtype)
        layers = ((16, 3, 1),) if self.small else ((32, 8, 4), (64, 4, 2), (64, 3, 1))
        for number, (features, size, stride) in enumerate(layers, 1):
            x = tag(nn.relu(conv(features, size, stride, "VALID", f"conv{number}", self.dtype)(x)), f"conv{number}")
        x = x.reshape(-1).astype(jnp.float32)
        h = tag(nn.Dense(self.size, kernel_init=_NORMAL, name="fc")(x), "embedding")
        keys = self.param("keys", _NORMAL, (self.num_actions, self.keys, self.size))
        weights = tag(jax.nn.softmax(keys @ h, axis=-1), "weights")
        z, log_variance = h, None
        if self.decoder != "ae":
            log_variance = nn.Dense(self.size, kernel_init=_NORMAL, name="log_variance")(x)
            if self.has_rng("noise"):
                z = h + jnp.exp(0.5 * log_variance) * jax.random.normal(self.make_rng("noise"), h.shape)
        image = Decoder(**_decoder_sizes(self.small, self.decoder, obs.shape), name="decoder")(z)
        q, uncertainty = read_values(weights, values)
        return Output(
            q=q, uncertainty=uncertainty, weights=weights, embedding=h, reconstruction=image, log_variance=log_variance
        )

    def _check(self, name: str) -> None:
        if self.decoder not in DECODERS or self.values not in ("even", "random"):
            raise ValueError(
                f"{name} has decoder={self.decoder!r} and values={self.values!r}; decoders are {', '.join(DECODERS)}, "
                "values are even or random"
            )
        if not isinstance(self.keys, (int, np.integer)) or self.keys < 2:
            raise ValueError(f"{name} has keys={self.keys!r}, a number of keys for each action: expected 2 or more, whole")
        if not self.low < self.high:
            raise ValueError(
                f"{name} has low={self.low} and high={self.high}: its values lie between them, so that low must be less, "
                "e.g. low=-25, high=25"
            )

    def _draw_values(self) -> jax.Array:
        if self.values == "even":
            return jnp.linspace(self.low, self.high, self.keys)
        return jax.random.uniform(self.make_rng("params"), (self.keys,), minval=self.low, maxval=self.high)


def _decoder_sizes(small: bool, decoder: str, frame: tuple[int, ...]) -> dict[str, Any]:
    """The fields of the `Decoder` for frame stacks [H W C] of the shape `frame`."""
    high, wide, channels = frame
    dense = decoder.startswith("dense")
    if small:
        return {"begin": (high - 2, wide - 2, 16), "deconvs": ((channels, 3, 1, (0, 0)),), "dense": dense}
    second = tuple((side - 8) // 4 + 1 for side in (high, wide))
    begin = tuple((side - 4) // 2 - 1 for side in second)
    left = tuple((side - 4) % 2 for side in second), tuple((side - 8) % 4 for side in (high, wide))
    deconvs = (64, 3, 1, (0, 0)), (32, 4, 2, left[0]), (channels, 8, 4, left[1])
    return {"begin": (*begin, 64), "deconvs": deconvs, "dense": dense}


def read_values(weights: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`(q[...], uncertainty[...])` of weights[... N] over values[N]: mean and standard deviation.

    Annasamy & Sycara 2019, section "Directed exploration". Differs: FACTS I3, sqrt(sum w v^2 - q^2); where rounding leaves
    nothing under the root both it and its gradient are 0. In full float32 on every device: a difference of squares.
    """
    q, squares = (jnp.matmul(weights, v, precision="highest") for v in (values, values**2))
    variance = squares - q**2
    inside = variance > 1e-12
    return q, jnp.where(inside, jnp.sqrt(jnp.where(inside, variance, 1.0)), 0.0)


def decode(network: IDQN, params: Any, h: jax.Array) -> jax.Array:
    """The frame stack [H W C], 0..255 (not clipped), of ONE embedding `h[E]`: a state's, or a key's.

    Annasamy & Sycara 2019, eq. 4 and section "Inversion of keys": `decode(network, params, params["params"]["keys"][a, i])`.
    """
    mean = params["constants"]["mean"]
    decoder = Decoder(**_decoder_sizes(network.small, network.decoder, mean.shape))
    image: Any = decoder.apply({"params": params["params"]["decoder"]}, h)
    return image * 255.0 + mean
