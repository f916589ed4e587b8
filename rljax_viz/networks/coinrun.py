"""The CoinRun network of "Understanding RL Vision": five convolutions with L2 pooling between them."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rljax_viz.networks.baselines import POLICY, RETURN, conv, dense, head
from rljax_viz.networks.frames import scaled
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


def l2_pool(x: jax.Array) -> jax.Array:
    """Root of the mean square of each 2x2 block.

    x[H W C] -> [ceil(H/2) ceil(W/2) C], units of `x`. The 1e-8 stands inside the root, so that the gradient at 0 is
    0 and not NaN. A block that hangs over an odd edge averages the pixels it has.
    Hilton et al. 2020, appendix C, doi:10.23915/distill.00029. Differs: nothing.
    """
    h, w, c = x.shape
    squares = jnp.pad(x * x, ((0, h % 2), (0, w % 2), (0, 0)))
    sums = squares.reshape(squares.shape[0] // 2, 2, squares.shape[1] // 2, 2, c).sum((1, 3))
    rows, columns = (np.minimum(2, n - np.arange(0, n, 2)) for n in (h, w))  # how many of each block are pixels
    pixels = jnp.asarray(np.multiply.outer(rows, columns)[..., None], x.dtype)
    return jnp.sqrt(sums / pixels + 1e-8)


class CoinRun(nn.Module):
    """Convolutions 1a 2a 2b 3a 4a, each group followed by L2 pooling; 256 and 512 units; logits and value.

    apply(params, obs[64 64 3]) -> Output(logits[A], value[]), value in units of return; 360,138 parameters with
    9 actions. Tags `1a 2a 2b 3a 4a fc1 fc2`, each after its ReLU and before the pool: 2b is [32 32 32].
    Hilton et al. 2020, appendix C, doi:10.23915/distill.00029. Differs: initialisation as in Baselines.
    Raises ValueError if `obs` is not [H W C].
    """

    num_actions: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        def layer(features: int, size: int, name: str, x: jax.Array) -> jax.Array:
            return tag(nn.relu(conv(features, size, 1, "SAME", name, self.dtype)(x)), name)

        x = scaled(obs, 1, "coinrun", self.dtype)
        x = l2_pool(layer(16, 7, "1a", x))
        x = l2_pool(layer(32, 5, "2b", layer(32, 5, "2a", x)))
        x = l2_pool(layer(32, 5, "3a", x))
        x = l2_pool(layer(32, 5, "4a", x)).reshape(-1)
        x = tag(nn.relu(dense(256, "fc1", self.dtype)(x)), "fc1")
        x = tag(nn.relu(dense(512, "fc2", self.dtype)(x)), "fc2")
        return Output(
            logits=head(self.num_actions, POLICY, "logits")(x),
            value=head(1, RETURN, "value")(x)[0],
        )
