"""Which part of the machine's own matrix-product rate does each method reach?

    python benchmarks/rate.py [--methods gradient ...] [--rounds 5] [--seconds 0.3] [--tile 128] [--dtype float32]

In one interleaved run: a large product by PyTorch and by jax (GFLOP/s, the better one is the machine's rate), and each
method on a tile of frames of the Nature CNN. Two counts of its operations, twice the multiply-adds: by hand from the
shapes of the layers (`by_hand`: forward passes, gradients by the input as far down as the method's definition needs), and
`cost_analysis()` of the program that XLA makes of it with its own convolutions (`compiled`, which counts elementwise work
too, and the body of a loop once: given only for methods without one). Prints one JSON line a method: frames/s, both counts
in MFLOP a frame, GFLOP/s by hand, and that as a part of the rate. `--parts` prints what the rest goes to: each part of a
gradient alone, in microseconds a frame.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads

import jax
import jax.numpy as jnp
import numpy as np
import torch
from explain import MANY_PASSES, OURS, make_weights

from rljax_viz import networks
from rljax_viz.explain import scores
from rljax_viz.transforms import at_layer, fast_convs, fuse

# Multiply-adds of a frame. Pixels of the output x taps x channels in x channels out; the value's head has 512.
LAYERS = {
    "conv1": 20 * 20 * 8 * 8 * 4 * 32,
    "conv2": 9 * 9 * 4 * 4 * 32 * 64,
    "conv3": 7 * 7 * 3 * 3 * 64 * 64,
    "fc": 3136 * 512,
    "value": 512,
}
WHOLE = sum(LAYERS.values())
BELOW_CONV1 = LAYERS["conv1"]
ABOVE_CONV1 = WHOLE - BELOW_CONV1
COLUMNS = 20 * 20 * 32 * 8
ABOVE_CONV2 = ABOVE_CONV1 - LAYERS["conv2"]
ABOVE_CONV3 = LAYERS["fc"] + LAYERS["value"]
#: what a method cannot do without, in multiply-adds: what is linear in the path or below the layer once
BY_HAND = {
    "gradient": 2 * WHOLE,
    "input_x_gradient": 2 * WHOLE,
    "guided_backprop": 2 * WHOLE,
    "grad_cam_conv1": WHOLE + ABOVE_CONV2,  # no gradient by conv1 itself: only its mean is asked for
    "guided_grad_cam_conv1": 2 * WHOLE + ABOVE_CONV2,
    "integrated_gradients_10": 2 * BELOW_CONV1 + 10 * 2 * ABOVE_CONV1,
    "integrated_gradients_50": 2 * BELOW_CONV1 + 50 * 2 * ABOVE_CONV1,
    "layer_integrated_gradients_conv3": WHOLE + 2 * LAYERS["fc"] + 20 * LAYERS["value"],  # fc: twice forward, once back
    "smooth_grad_16": 2 * BELOW_CONV1 + 16 * 2 * ABOVE_CONV1,  # conv1 of the noise: 16 in all, whatever the number of frames
    # conv1 once a row of masks and rank of a mask; at each mask a sum over the kernel's columns (and ranks)
    "occlusion_8_4": WHOLE + 20 * BELOW_CONV1 + 400 * (ABOVE_CONV1 + COLUMNS),
    "perturbation_289": WHOLE + 17 * 2 * BELOW_CONV1 + 289 * (ABOVE_CONV1 + 2 * COLUMNS),
    "rise_256": 256 * WHOLE,
}
LOOPS = {name for name in BY_HAND if name[-1].isdigit() and "conv1" not in name} | {"layer_integrated_gradients_conv3"}


def product_rates(dtype: str, size: int = 3072) -> dict[str, Callable[[], float]]:
    """side -> a call that measures GFLOP/s of one product [size size] @ [size size]."""
    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    ours, theirs = jnp.asarray(a, dtype), torch.from_numpy(a).to(getattr(torch, dtype))
    product = jax.jit(lambda a: a @ a)
    work = 2 * size**3 / 1e9
    return {
        "jax": lambda: work / fair.seconds(lambda: product(ours).block_until_ready()),
        "torch": lambda: work / fair.seconds(lambda: theirs @ theirs),
    }


def compiled_flops(explain: Callable, params: Any, frames: np.ndarray) -> float:
    """MFLOP a frame that XLA counts in the program with its own convolutions."""
    program = jax.jit(jax.vmap(explain, (None, 0))).lower(params, frames).compile()
    cost = program.cost_analysis()
    return float((cost[0] if isinstance(cost, list) else cost)["flops"]) / len(frames) / 1e6


def parts(net: Any, params: Any, frames: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Programs that hold one part of a gradient each, of the same tile."""
    layers = {"conv1": (84, 4, 4), "conv2": (20, 32, 2), "conv3": (9, 64, 1)}
    f, plain = fast_convs(net.apply), jax.vmap(fast_convs(net.apply), (None, 0))
    whole = jax.jit(fuse(jax.vmap(OURS["gradient"](f, scores.value), (None, 0))))
    forward = jax.jit(fuse(lambda params, obs: plain(params, obs).value))
    scaled = jax.jit(lambda obs: obs.astype(jnp.float32) / 255)
    p, n = params["params"], len(frames)

    def convs_alone(obs):
        x = obs.astype(jnp.float32)
        for name, (_, _, stride) in layers.items():
            x = _conv(p[name]["kernel"], stride)(x)
        return x.reshape(n, -1) @ p["fc"]["kernel"] @ p["value"]["kernel"]

    bare, tail = jax.jit(fast_convs(convs_alone)), jax.vmap(lambda h: at_layer(f, "conv1")(params, frames[0])[1](h).value)
    above, h = jax.jit(fuse(tail)), jax.random.normal(jax.random.key(3), (n, 20, 20, 32))
    hidden = jax.random.normal(jax.random.key(0), (n, 3136))
    fc = jax.jit(lambda h: jax.nn.relu(h @ p["fc"]["kernel"] + p["fc"]["bias"][None]))
    maps = whole(params, frames)
    calls: dict[str, Callable] = {
        "whole": lambda: np.asarray(whole(params, frames)),
        "forward": lambda: forward(params, frames).block_until_ready(),
        "forward without bias, ReLU, scaling": lambda: bare(frames).block_until_ready(),
        "forward above conv1": lambda: above(h).block_until_ready(),
        "uint8 to float32": lambda: scaled(frames).block_until_ready(),
        "fc forward": lambda: fc(hidden).block_until_ready(),
        "copy of maps": lambda: np.array(maps),
    }
    for name, (size, channels, stride) in layers.items():
        calls |= _conv_parts(name, p[name]["kernel"], (n, size, size, channels), stride)
    return calls


def _conv(w: jax.Array, stride: int) -> Callable[[jax.Array], jax.Array]:
    layout = ("NHWC", "HWIO", "NHWC")
    return lambda x: jax.lax.conv_general_dilated(x, w, (stride, stride), "VALID", dimension_numbers=layout)


def _conv_parts(name: str, w: jax.Array, shape: tuple[int, ...], stride: int) -> dict[str, Callable]:
    conv = _conv(w, stride)
    x = jax.random.normal(jax.random.key(1), shape)
    g = jax.random.normal(jax.random.key(2), jax.eval_shape(conv, x).shape)
    relu = jax.jit(lambda g: jax.nn.relu(g + 1))
    forward = jax.jit(fast_convs(conv))
    back = jax.jit(lambda g: jax.vjp(fast_convs(conv), x)[1](g)[0])
    return {
        f"{name} forward": lambda: forward(x).block_until_ready(),
        f"{name} backward": lambda: back(g).block_until_ready(),
        f"{name} bias and ReLU": lambda: relu(g).block_until_ready(),
    }


def timed(call: Callable[[], Any], frames: int, sample_seconds: float) -> Callable[[], float]:
    call()  # compiles
    times = max(1, round(sample_seconds / fair.seconds(call)))
    return lambda: frames * times / fair.seconds(lambda: [call() for _ in range(times)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", nargs="*", default=list(BY_HAND), choices=list(BY_HAND), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--tile", type=int, default=128)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--parts", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    net = networks.make("nature", 4, dtype=args.dtype)
    params = make_weights(net)
    frames = np.random.default_rng(0).integers(0, 256, (args.tile, 84, 84, 4), np.uint8)
    rates = product_rates(args.dtype)
    sides: dict[str, Callable[[], float]] = {f"product, {side}": call for side, call in rates.items()}
    for name in args.methods:
        tile = frames[:4] if name in MANY_PASSES else frames
        program = jax.jit(fuse(jax.vmap(OURS[name](fast_convs(net.apply), scores.value), (None, 0))))
        sides[name] = timed(lambda p=program, x=tile: np.asarray(p(params, x)), len(tile), args.seconds)
    found = fair.take_turns(sides, args.rounds)
    rate = max(statistics.median(found[f"product, {side}"]) for side in rates)
    for side in rates:
        print(json.dumps({"product": side, "gflops": fair.spread(found[f"product, {side}"])}))
    for name in args.methods:
        speed, work = statistics.median(found[name]), 2 * BY_HAND[name] / 1e9
        counted = None if name in LOOPS else round(compiled_flops(OURS[name](net.apply, scores.value), params, frames[:8]), 1)
        row = {"method": name, "frames_s": round(speed, 1), "mflop_by_hand": round(1e3 * work, 1), "mflop_compiled": counted}
        print(json.dumps({**row, "gflops": round(speed * work, 1), "of_the_rate": round(speed * work / rate, 3)}), flush=True)
    if args.parts:
        calls = {name: timed(call, args.tile, 0.05) for name, call in parts(net, params, frames).items()}
        took = fair.take_turns(calls, args.rounds)
        print(json.dumps({"us_a_frame": {name: round(1e6 / statistics.median(v), 1) for name, v in took.items()}}))


if __name__ == "__main__":
    main()
