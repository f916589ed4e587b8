"""K-FAC: a step along the natural gradient, with two small matrices a layer in place of the Fisher matrix.

Dense layers: Martens & Grosse 2015, arXiv:1503.05671; convolutions: Grosse & Martens 2016, arXiv:1602.01407. A layer's
weights W[in + 1, out] (the bias is the last row) see the input `a` (with a 1 behind it) and get the slope `g` at their
output; their block of the Fisher matrix is taken to be E[a a'] x E[g g'], whose inverse costs two small ones. The layers
of a linen network are found by watching it run once: every `nn.Dense` and plain `nn.Conv`, whatever stands between them.

Sharp edge: under `vmap` a condition becomes a choice, so that several seeds at once invert at every update.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.linear import canonicalize_padding
from flax.traverse_util import flatten_dict, unflatten_dict

Blocks = dict[str, jax.Array]  # layer's name -> its weights (or their gradient), as W[in + 1, out]


class Layer(NamedTuple):
    """`window`: size, strides and padding of a convolution, None for a dense layer; `out`: its output for one observation."""

    window: tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]] | None
    bias: bool
    out: jax.ShapeDtypeStruct


class Factors(NamedTuple):
    """Of one layer: E[a a'] `[in + 1, in + 1]` and E[g g'] `[out, out]`, or the inverses of both."""

    a: jax.Array
    g: jax.Array


class KFACState(NamedTuple):
    count: jax.Array
    factors: dict[str, Factors]
    inverses: dict[str, Factors]
    velocity: Blocks


# ---------------------------------------------------------------------------------------------- watching the layers


def _watch(network: nn.Module, params: Any, obs: jax.Array, visit: Callable) -> Any:
    """`network.apply`, where `visit(name, module, input, output)` gives the output of every dense and conv layer."""

    def catch(call, args, kwargs, context):
        out = call(*args, **kwargs)
        if context.method_name != "__call__" or not isinstance(context.module, nn.Dense | nn.Conv):
            return out
        return visit("/".join(context.module.path), context.module, args[0], out)

    with nn.intercept_methods(catch):
        return network.apply(params, obs)


def find_layers(network: nn.Module, params: Any, obs: Any) -> dict[str, Layer]:
    """The layers of `network` by name, from first to last; runs nothing.

    Raises ValueError for a layer that is used twice, a dilated or grouped convolution, or a parameter outside all layers.
    """
    found: dict[str, Layer] = {}

    def visit(name, module, x, out):
        if name in found:
            raise ValueError(f"layer {name!r} is used twice for one observation: its Fisher block is no product of two")
        window = _window(name, module, x.shape) if isinstance(module, nn.Conv) else None
        found[name] = Layer(window, module.use_bias, jax.ShapeDtypeStruct(out.shape, out.dtype))
        return out

    jax.eval_shape(lambda params, obs: _watch(network, params, obs, visit), params, obs)
    ours = {f"{name}/{part}" for name in found for part in ("kernel", "bias")}
    if other := sorted(set(flatten_dict(params["params"], sep="/")) - ours):
        raise ValueError(f"K-FAC knows nn.Dense and nn.Conv; {type(network).__name__} has other parameters: {other}")
    return found


def _window(name: str, module: nn.Conv, shape: tuple[int, ...]) -> tuple:
    def both(n: Any) -> tuple[int, ...]:
        return (1, 1) if n is None else (n, n) if isinstance(n, int) else tuple(n)

    size, strides = both(module.kernel_size), both(module.strides)
    odd = (both(module.kernel_dilation), both(module.input_dilation), module.feature_group_count)
    if len(size) != 2 or len(shape) != 3 or odd != ((1, 1), (1, 1), 1):
        raise ValueError(f"{name!r}: K-FAC knows two-dimensional convolutions of [H W C], neither dilated nor grouped")
    padding = canonicalize_padding(module.padding, 2)
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(shape[:2], size, strides, padding)
    return size, strides, tuple((int(low), int(high)) for low, high in padding)


def watched(
    network: nn.Module, layers: dict[str, Layer], params: Any, obs: jax.Array, fast: Callable = lambda f: f
) -> tuple[Any, Callable, dict[str, jax.Array]]:
    """`(out, pull, inputs)`: Output[n ...] of obs[n ...], and the input of every layer and observation.

    `pull(slope at out)` gives the gradient of `params` and, by layer, the slope at its output [n ...]; what of it is not used
    costs nothing under jit. `fast` is a transform of the network, `transforms.fast_convs`.
    """

    def one(params, bumps, obs):  # a bump of zero is added to each output: its gradient is the slope there
        seen = {}

        def visit(name, module, x, out):
            seen[name] = x
            return out + bumps[name]

        return _watch(network, params, obs, visit), seen

    run = jax.vmap(fast(one), (None, 0, 0))
    bumps = {name: jnp.zeros((len(obs), *layer.out.shape), layer.out.dtype) for name, layer in layers.items()}
    return jax.vjp(lambda params, bumps: run(params, bumps, obs), params, bumps, has_aux=True)


# -------------------------------------------------------------------------------------------------------- the factors


def rows(layer: Layer, x: jax.Array) -> jax.Array:
    """The input x of one observation as what the layer's kernel is multiplied with: [places, in] float32."""
    if layer.window is None:
        return x.reshape(-1, x.shape[-1]).astype(jnp.float32)
    (kh, kw), (sh, sw), padding = layer.window
    x = jnp.pad(x.astype(jnp.float32), (*padding, (0, 0)))
    oh, ow = (x.shape[0] - kh) // sh + 1, (x.shape[1] - kw) // sw + 1
    if kw % sw == 0:  # so many columns at once, which lie side by side in memory
        x = x[:, : sw * (ow - 1) + kw].reshape(len(x), -1, sw * x.shape[-1])
        kw, sw = kw // sw, 1
    ends = [(i, j, i + sh * (oh - 1) + 1, j + sw * (ow - 1) + 1) for i in range(kh) for j in range(kw)]
    return jnp.concatenate([x[i:down:sh, j:right:sw] for i, j, down, right in ends], -1).reshape(oh * ow, -1)


def measure(layer: Layer, x: jax.Array, slope: jax.Array, valid: jax.Array) -> Factors:
    """The two factors of a layer, as means over the observations n where `valid[n]`: of x[n ...] and slope[n ...].

    Over the places of a convolution `a` is a sum and `g` a mean: Grosse & Martens 2016, eq. 23 (theorem 1). Differs: nothing.
    """
    chunk = math.gcd(len(x), 32) if layer.window else len(x)  # patches of a few observations at a time stay in the cache
    x, slope, weight = (v.reshape(-1, chunk, *v.shape[1:]) for v in (x, slope, valid.astype(jnp.float32)))
    places, wide = jax.eval_shape(lambda x: rows(layer, x), x[0, 0]).shape

    def add(total: tuple, part: tuple) -> tuple[tuple, None]:
        x, slope, weight = part
        kept = lambda v: v * weight.reshape(-1, *(1,) * (v.ndim - 1))  # noqa: E731
        a = jax.vmap(lambda x: rows(layer, x))(kept(x.astype(jnp.float32))).reshape(-1, wide)
        g = kept(slope.astype(jnp.float32)).reshape(len(a), -1)
        return jax.tree.map(jnp.add, total, (a.T @ a, a.sum(0), g.T @ g)), None

    zero = jnp.zeros((wide, wide)), jnp.zeros(wide), jnp.zeros((slope.shape[-1], slope.shape[-1]))
    (a, sums, g), _ = jax.lax.scan(add, zero, (x, slope, weight))
    number = jnp.maximum(weight.sum(), 1.0)
    if layer.bias:  # its input is 1 everywhere
        a = jnp.block([[a, sums[:, None]], [sums[None], jnp.full((1, 1), weight.sum() * places)]])
    return Factors(a / number, g / (number * places))


def inverted(factors: Factors, damping: float | jax.Array) -> Factors:
    """Inverses of both, after a share of `damping` each: Martens & Grosse 2015, section 6.3 (factored Tikhonov)."""
    mean_a, mean_g = jnp.trace(factors.a) / len(factors.a), jnp.trace(factors.g) / len(factors.g)
    share = jnp.sqrt(jnp.maximum(mean_a, 1e-12) / jnp.maximum(mean_g, 1e-12))
    root = jnp.sqrt(damping)

    @jax.custom_batching.sequential_vmap  # several at once can wait for each other forever: `baselines.orthogonal`
    def inverse(m: jax.Array, more: jax.Array) -> jax.Array:
        eye = jnp.eye(len(m))
        return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(m + more * eye), eye)

    return Factors(inverse(factors.a, share * root), inverse(factors.g, root / share))


# ------------------------------------------------------------------------------------------------------------ the step


def as_blocks(layers: dict[str, Layer], params: Any) -> Blocks:
    """Each layer's kernel and bias as one matrix [in (+ 1), out]."""
    flat: dict[str, Any] = dict(flatten_dict(params["params"], sep="/"))
    kernels = {name: flat[f"{name}/kernel"] for name in layers}
    matrices = {name: kernel.reshape(-1, kernel.shape[-1]) for name, kernel in kernels.items()}
    return {
        name: jnp.concatenate([m, flat[f"{name}/bias"][None]]) if layers[name].bias else m for name, m in matrices.items()
    }


def as_params(layers: dict[str, Layer], blocks: Blocks, like: Any) -> Any:
    """`as_blocks` backwards: a tree like `like`."""
    flat: dict[str, Any] = dict(flatten_dict(like["params"], sep="/"))
    found = {}
    for name, layer in layers.items():
        kernel = flat[f"{name}/kernel"]
        block = blocks[name][:-1] if layer.bias else blocks[name]
        found[f"{name}/kernel"] = block.reshape(kernel.shape)
        if layer.bias:
            found[f"{name}/bias"] = blocks[name][-1]
    return {"params": unflatten_dict(found, sep="/")}


def init(layers: dict[str, Layer], params: Any) -> KFACState:
    blocks = as_blocks(layers, params)
    zero = {k: Factors(jnp.zeros((len(b), len(b))), jnp.zeros((b.shape[1], b.shape[1]))) for k, b in blocks.items()}
    return KFACState(jnp.zeros((), jnp.int32), zero, zero, jax.tree.map(jnp.zeros_like, blocks))


def update(
    state: KFACState,
    grads: Blocks,
    fresh: dict[str, Factors],
    *,
    learning_rate: float | jax.Array,
    damping: float,
    decay: float,
    max_kl: float,
    momentum: float,
    inverse_every: int,
) -> tuple[Blocks, KFACState, jax.Array]:
    """`(step, state, scale)`: what to add to the blocks, given their gradients and this batch's factors.

    Factors are running means (`decay`, without the bias of an empty start), inverted at every `inverse_every`-th update.
    The natural gradient v = F^-1 g is scaled by min(learning_rate, sqrt(2 max_kl / v'Fv)): Wu et al. 2017, section 3.3.
    The step is a running mean of those (`momentum`), as in OpenAI Baselines.
    """
    count = state.count + 1
    factors = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.factors, fresh)

    def renewed():
        seen = 1 - decay ** count.astype(jnp.float32)
        return {name: inverted(Factors(f.a / seen, f.g / seen), damping) for name, f in factors.items()}

    inverses = jax.lax.cond(state.count % inverse_every == 0, renewed, lambda: state.inverses)
    natural = {name: inverses[name].a @ grad @ inverses[name].g for name, grad in grads.items()}
    squared = sum((natural[name] * grad).sum() for name, grad in grads.items())  # v'Fv, since Fv = g
    scale = jnp.minimum(learning_rate, jnp.sqrt(2 * max_kl / jnp.maximum(squared, 1e-20)))
    step = {name: momentum * old - (1 - momentum) * scale * natural[name] for name, old in state.velocity.items()}
    return step, KFACState(count, factors, inverses, step), scale
