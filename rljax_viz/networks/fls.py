"""Free-lunch saliency: an agent's network that learns where to look, at no cost, in twelve variants."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import POLICY, RETURN, conv, dense, head
from rljax_viz.networks.frames import scaled
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag

#: features, size, stride and padding of the three convolutions
SPARSE = ((32, 8, 4, "VALID"), (64, 4, 2, "VALID"), (64, 3, 1, "VALID"))
DENSE = ((32, 7, 1, "SAME"), (64, 5, 1, "SAME"), (64, 3, 1, "SAME"))


class FreeLunch(nn.Module):
    """Three convolutions, an attention map h[h w] > 0 over their features x, and x * h instead of x behind it.

    apply(params, obs[H W C]) -> Output(logits[A], value[], attention[h w]). h = softplus(conv(relu(conv256(x)))). Tags
    `conv1 conv2 conv3` before the product, `attention` (or `attention1 attention2 attention3`), `fc`.
    dense: unstrided convolutions; attend: which of the three have a map of their own; sum_pool: the product is summed over
    the pixels; norm: h is divided by its sum; size: of the map's two convolutions; base_two: softplus to the base 2, which
    is 1 where its input is 0; final_relu: whether a ReLU follows conv3, before map and product.
    Nikulin et al. 2019, arXiv:1908.02511, figures 1-2, tables 2-3; parameter counts exact (FACTS, seed 004). Differs:
    nothing. Raises ValueError if `obs` is not [H W C] with sides of 36 or more.
    """

    num_actions: int
    dense: bool = False
    attend: tuple[int, ...] = (3,)
    sum_pool: bool = False
    norm: bool = False
    size: int = 3
    base_two: bool = False
    final_relu: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        x = scaled(obs, 36, "free-lunch", self.dtype)
        maps = []
        for number, (features, size, stride, padding) in enumerate(DENSE if self.dense else SPARSE, 1):
            x = conv(features, size, stride, padding, f"conv{number}", self.dtype)(x)
            x = tag(nn.relu(x) if number < 3 or self.final_relu else x, f"conv{number}")
            if number in self.attend:
                place = str(number) if len(self.attend) > 1 else ""
                maps.append(tag(self._look(x, place), f"attention{place}"))
                x = x * maps[-1][..., None].astype(self.dtype)
        x = x.sum((0, 1)) if self.sum_pool else x.reshape(-1)
        x = tag(nn.relu(dense(512, "fc", self.dtype)(x)), "fc")
        return Output(
            logits=head(self.num_actions, POLICY, "logits")(x),
            value=head(1, RETURN, "value")(x)[0],
            attention=maps[-1],
        )

    def _look(self, x: jax.Array, place: str) -> jax.Array:
        """h[h w] of features x[h w c], float32."""
        seen = nn.relu(conv(256, self.size, 1, "SAME", f"look{place}", self.dtype)(x))
        h = conv(1, self.size, 1, "SAME", f"attend{place}", self.dtype)(seen)[..., 0].astype(jnp.float32)
        h = nn.softplus(h * jnp.log(2.0)) / jnp.log(2.0) if self.base_two else nn.softplus(h)
        return h / h.sum() if self.norm else h


#: name -> what differs from the first
VARIANTS: dict[str, dict[str, Any]] = {
    "sparse-fls": {},
    "sparse-fls-sum-pool": {"sum_pool": True},
    "sparse-fls-norm": {"norm": True},
    "sparse-fls-1x1": {"size": 1},
    "sparse-fls-softplus2": {"base_two": True},
    "sparse-fls-no-relu": {"final_relu": False},
    "sparse-fls-no-relu-sum-pool": {"final_relu": False, "sum_pool": True},
    "sparse-fls-conv1": {"attend": (1,)},
    "sparse-fls-each-conv": {"attend": (1, 2, 3)},
    "dense-fls-sum-pool": {"dense": True, "sum_pool": True},
    "dense-fls-no-relu-sum-pool": {"dense": True, "final_relu": False, "sum_pool": True},
}
