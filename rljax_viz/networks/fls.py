"""Free-lunch saliency: an agent's network that learns where to look, at no cost; variants, and twins for MinAtar."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rljax_viz.networks.baselines import POLICY, RETURN, conv, dense, head
from rljax_viz.networks.frames import scaled
from rljax_viz.networks.output import Output
from rljax_viz.transforms import tag


class Block(NamedTuple):
    """`convs`: features, size, stride and padding of each; `look` and `units`: widths of a map's hidden layer and of `fc`."""

    convs: tuple[tuple[int, int, int, str], ...]
    look: int = 256
    units: int = 512
    smallest: int = 36  # side of a frame


#: the paper's two, and small ones for frames of 10x10, which are ours: two convolutions, 10x10 gives 8x8 and 4x4
BLOCKS = {
    "sparse": Block(((32, 8, 4, "VALID"), (64, 4, 2, "VALID"), (64, 3, 1, "VALID"))),
    "dense": Block(((32, 7, 1, "SAME"), (64, 5, 1, "SAME"), (64, 3, 1, "SAME"))),
    "minatar": Block(((16, 3, 1, "VALID"), (16, 2, 2, "VALID")), 16, 128, 4),
    "minatar-dense": Block(((8, 3, 1, "SAME"), (8, 3, 1, "SAME")), 8, 128, 4),
}


class FreeLunch(nn.Module):
    """Convolutions, an attention map h[h w] > 0 over their features x, and x * h instead of x behind it.

    apply(params, obs[H W C]) -> Output(logits[A], value[], attention[h w]). h = softplus(conv(relu(conv256(x)))). Tags
    `conv1 conv2 conv3` before the product, `attention` (or `attention1 attention2 attention3`), `fc`.
    block: which convolutions (BLOCKS); attend: the numbers of those that have a map of their own, () for none; sum_pool: the
    product is summed over the pixels; norm: h is divided by its sum; size: of the map's two convolutions; base_two: softplus
    to the base 2, which is 1 where its input is 0; final_relu: whether a ReLU follows the last one, before map and product.
    Nikulin et al. 2019, arXiv:1908.02511, figures 1-2, tables 2-3; parameter counts exact (FACTS, seed 004). Differs:
    MinAtar's blocks are ours. Raises ValueError if `obs` is not [H W C] with sides of 36 (MinAtar's: 4) or more.
    """

    num_actions: int
    block: str = "sparse"
    attend: tuple[int, ...] = (3,)
    sum_pool: bool = False
    norm: bool = False
    size: int = 3
    base_two: bool = False
    final_relu: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, obs: jax.Array) -> Output:
        block = BLOCKS[self.block]
        x = scaled(obs, block.smallest, "free-lunch", self.dtype)
        maps = []
        for number, (features, size, stride, padding) in enumerate(block.convs, 1):
            x = conv(features, size, stride, padding, f"conv{number}", self.dtype)(x)
            x = tag(nn.relu(x) if number < len(block.convs) or self.final_relu else x, f"conv{number}")
            if number in self.attend:
                place = str(number) if len(self.attend) > 1 else ""
                maps.append(tag(self._look(x, place, block.look), f"attention{place}"))
                x = x * maps[-1][..., None].astype(self.dtype)
        x = x.sum((0, 1)) if self.sum_pool else x.reshape(-1)
        x = tag(nn.relu(dense(block.units, "fc", self.dtype)(x)), "fc")
        return Output(
            logits=head(self.num_actions, POLICY, "logits")(x),
            value=head(1, RETURN, "value")(x)[0],
            attention=maps[-1] if maps else None,
        )

    def _look(self, x: jax.Array, place: str, width: int) -> jax.Array:
        """h[h w] of features x[h w c], float32."""
        seen = nn.relu(conv(width, self.size, 1, "SAME", f"look{place}", self.dtype)(x))
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
    "dense-fls-sum-pool": {"block": "dense", "sum_pool": True},
    "dense-fls-no-relu-sum-pool": {"block": "dense", "final_relu": False, "sum_pool": True},
}

_LAST = {(3,): (2,), (1,): (1,), (1, 2, 3): (1, 2)}  # of three convolutions -> of MinAtar's two


def _twin(options: dict[str, Any]) -> dict[str, Any]:
    block = "minatar-dense" if options.get("block") == "dense" else "minatar"
    return {**options, "block": block, "attend": _LAST[options.get("attend", (3,))]}


#: the same for MinAtar; `minatar-sparse` is their baseline, which attends to nothing
TWINS: dict[str, dict[str, Any]] = {
    "minatar-sparse": {"block": "minatar", "attend": ()},
    **{f"minatar-{name.removeprefix('sparse-')}": _twin(options) for name, options in VARIANTS.items()},
}
