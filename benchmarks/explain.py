"""How many frames a second does each method explain, against Captum and against PyTorch by hand, on the same two cores?

    python benchmarks/explain.py [--methods gradient grad_cam_conv1 ...] [--rounds 9] [--dtype bfloat16] [--quick]

Same Nature CNN on 84x84x4, same weights (checked: the maps of both sides agree to 1e-4 of their largest value, those of
paths to 1e-3 of their length, else this fails), same uint8 frames, float32, same allocator settings. With `--dtype
bfloat16` both sides compute their hidden layers in it, and the maps must have a cosine of 0.98 to one another. Each
side takes the batch size, PyTorch also the memory layout, and Captum its `internal_batch_size` (or
`perturbations_per_eval`), that is fastest in a short trial; then they take turns. `smooth_grad_16` has the same noise
for all frames, as `rljax-viz explain`, and PyTorch by hand too (Captum has no such choice); `smooth_grad_16_own_noise`
draws for each frame. Prints one JSON line a method: frames/s (median, quartiles) of `ours`, `peer` (Captum; by hand
where it has no such method) and `by_hand`, and the ratios ours / theirs, paired by round. Needs the extra `bench`.
"""

import argparse
import json
import math
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads

import jax
import jax.numpy as jnp
import numpy as np
import torch
from peers import captum_maps, maps_by_hand
from peers.nature_torch import Nature, copy_weights

from rljax_viz import explain, networks
from rljax_viz.explain import scores
from rljax_viz.transforms import fast_convs, fuse


def own_noise(explain: Callable) -> Callable:
    """`explain` with a key of its own for each frame."""

    def keyed(params: Any, obs: jax.Array) -> jax.Array:
        return explain(jax.random.fold_in(jax.random.key(0), obs.sum(dtype=jnp.int32)), params, obs)

    return keyed


OURS: dict[str, Callable] = {
    "gradient": explain.gradient,
    "input_x_gradient": explain.input_x_gradient,
    "guided_backprop": explain.guided_backprop,
    "deconvnet": explain.deconvnet,
    "grad_cam_conv1": lambda f, score: explain.grad_cam(f, score, "conv1"),
    "guided_grad_cam_conv1": lambda f, score: explain.guided_grad_cam(f, score, "conv1"),
    "integrated_gradients_10": lambda f, score: explain.integrated_gradients(f, score, steps=10),
    "integrated_gradients_50": lambda f, score: explain.integrated_gradients(f, score, steps=50),
    "layer_integrated_gradients_conv3": lambda f, score: explain.layer_integrated_gradients(f, score, "conv3", steps=10),
}
OURS |= {
    "occlusion_8_4": lambda f, score: explain.occlusion(f, score, window=8, stride=4),
    "perturbation_289": lambda f, score: explain.perturbation(f, score),
    "perturbation_289_loop": lambda f, score: explain.perturbation(f, score),  # against the peer's loop over masks
    "rise_256": lambda f, score: explain.rise(f, score, jnp.asarray(maps_by_hand.rise_masks())),
    "smooth_grad_16": lambda f, score: partial(explain.smooth_grad(f, score, 38.0, 16), jax.random.key(0)),
    "smooth_grad_16_own_noise": lambda f, score: own_noise(explain.smooth_grad(f, score, 38.0, 16)),
}
# hundreds of passes a frame: batches of few frames
MANY_PASSES = ("occlusion_8_4", "perturbation_289", "perturbation_289_loop", "rise_256")
# the same work, other numbers: SmoothGrad's noise is drawn anew, and Captum's path of a layer begins at the activation
# of a black frame instead of at zero
ANOTHER_ANSWER = {(f"smooth_grad_16{noise}", side) for noise in ("", "_own_noise") for side in ("captum", "by_hand")}
ANOTHER_ANSWER |= {("layer_integrated_gradients_conv3", "captum")}
LAYOUTS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}


class Way(NamedTuple):
    """One way of a side to make the maps of a batch; `call` gives them as numpy, channels last."""

    call: Callable[[], np.ndarray]
    batch: int
    setting: dict[str, Any]


def make_weights(net: Any) -> Any:
    """Parameters whose biases are not zero, so that a wrong copy shows."""
    params = net.init(jax.random.key(0), jnp.zeros((84, 84, 4), jnp.uint8))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [x + 0.01 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, noisy)


def our_ways(name: str, net: Any, params: Any, frames: np.ndarray, batches: list[int]) -> list[Way]:
    """What sweeps.map_frames compiles, at several tile sizes."""
    program = jax.jit(fuse(jax.vmap(OURS[name](fast_convs(net.apply), scores.value), (None, 0))))
    return [Way(lambda n=n: np.asarray(program(params, frames[:n])), n, {"batch": n}) for n in batches]


def torch_ways(
    make: Callable, variants: Callable, net: Any, params: Any, frames: np.ndarray, batches: list[int]
) -> list[Way]:
    """`make(net, variant)` in each memory layout, at several batch sizes; frames lie in the layout from the start."""
    ways, num_actions, dtype = [], net.num_actions, getattr(torch, jnp.dtype(net.dtype).name)
    for layout, order in LAYOUTS.items():
        twin = copy_weights(Nature(num_actions), params).requires_grad_(False).to(dtype, memory_format=order)
        stored = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous(memory_format=order)
        for n in batches:
            for variant in variants(n):
                maps = make(twin, variant)

                def call(maps=maps, x=stored[:n]) -> np.ndarray:
                    y = maps(x.to(dtype)).detach().float()
                    return (y.permute(0, 2, 3, 1) if y.ndim == 4 else y).numpy()

                setting = {"batch": n, "layout": layout}
                ways.append(Way(call, n, setting if variant is None else {**setting, "internal_batch_size": variant}))
    return ways


def sides_of(name: str, net: Any, params: Any, frames: np.ndarray, batches: list[int]) -> dict[str, list[Way]]:
    sides = {"ours": our_ways(name, net, params, frames, batches)}
    arguments = (net, params, frames, batches)
    if name in captum_maps.METHODS:
        make = captum_maps.METHODS[name]
        sides["captum"] = torch_ways(make, lambda n: captum_maps.variants(name, n), *arguments)
    sides["by_hand"] = torch_ways(lambda net, _: maps_by_hand.METHODS[name](net), lambda n: [None], *arguments)
    return sides


def check(name: str, sides: dict[str, list[Way]], exact: bool = True) -> float:
    """The largest difference from ours, as a part of our largest value, over the first and the last way of each side.

    Of paths the length of the difference, as a part of the length of ours: rounding moves a point of the path over the kink
    of a ReLU now and then, which single pixels see. In half precision (not `exact`) what the cosine lacks to 1.
    """
    ours = sides["ours"][0].call()
    if not exact:
        far, most = lambda theirs: 1 - cosine(theirs, ours), 0.02
    elif "integrated" in name:
        far, most = lambda theirs: float(np.linalg.norm(theirs - ours) / np.linalg.norm(ours)), 1e-3
    else:
        far, most = lambda theirs: float(np.abs(theirs - ours).max() / np.abs(ours).max()), 1e-4
    worst = 0.0
    for side, ways in sides.items():
        for way in () if (name, side) in ANOTHER_ANSWER else (ways[0], ways[-1]):
            theirs = way.call()[: len(ours)]
            if theirs.shape != ours.shape:
                raise SystemExit(f"{name}: {side} gives maps {theirs.shape}, ours are {ours.shape}")
            worst = max(worst, far(theirs))
    if not worst < most:
        raise SystemExit(f"{name}: the sides differ by {worst:.1e}, {most:g} at most: they do not do the same work")
    return worst


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def fastest(ways: list[Way]) -> tuple[Way, float]:
    """The way with the most frames/s, and the seconds of a call of it. Of ways within 2 % the smallest batch.

    They take turns, three times over, 50 ms and more each: on a shared machine single calls say little.
    """
    took = []
    for way in ways:
        fair.seconds(way.call)  # compiles, warms caches and memory
        took.append(fair.seconds(way.call))
    for turn in range(3):
        for at, way in enumerate(ways):
            if turn == 0 or took[at] < 1:
                calls = max(1, math.ceil(0.05 / took[at]))
                took[at] = min(took[at], fair.seconds(lambda way=way, n=calls: [way.call() for _ in range(n)]) / calls)
    best = max(way.batch / t for way, t in zip(ways, took, strict=True))
    near = [(way, t) for way, t in zip(ways, took, strict=True) if way.batch / t > 0.98 * best]
    return min(near, key=lambda pair: pair[0].batch)


def sampler(way: Way, took: float, sample_seconds: float) -> Callable[[], float]:
    """Frames/s over as many calls as fill `sample_seconds`."""
    calls = max(1, math.ceil(sample_seconds / took))
    return lambda: calls * way.batch / fair.seconds(lambda: [way.call() for _ in range(calls)])


def measure(name: str, net: Any, params: Any, frames: np.ndarray, batches: list[int], args: Any) -> dict[str, Any]:
    if name in MANY_PASSES:
        batches = [1, 2, 4, 8]
    sides = sides_of(name, net, params, frames, batches)
    agree = check(name, sides, net.dtype == jnp.float32)
    chosen = {side: fastest(ways) for side, ways in sides.items()}
    speeds = fair.take_turns({side: sampler(*best, args.seconds) for side, best in chosen.items()}, args.rounds)
    found = {side: {**fair.spread(v), **chosen[side][0].setting} for side, v in speeds.items()}
    peer = "captum" if "captum" in found else "by_hand"
    return {
        "method": name, "ours": found["ours"], "peer": {"is": peer, **found[peer]}, "by_hand": found["by_hand"],
        "ratio": fair.ratios(speeds["ours"], speeds[peer]),
        "ratio_by_hand": fair.ratios(speeds["ours"], speeds["by_hand"]),
        "differ": float(f"{agree:.1e}"), "rounds": args.rounds, "dtype": args.dtype,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", nargs="+", default=list(OURS), choices=list(OURS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="least time of one measurement")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--batches", nargs="+", type=int, help="batch sizes to choose from, the same for all sides")
    parser.add_argument("--quick", action="store_true", help="two rounds at batch 4 and 8: only shows that it runs")
    args = parser.parse_args()
    batches = args.batches or ([4, 8] if args.quick else [32, 64, 128, 256, 512])
    if args.quick:
        args.rounds, args.seconds = 2, 0.0
    warnings.filterwarnings("ignore", message="Setting (backward hooks|forward, backward hooks)", module="captum")
    torch.set_num_threads(2)
    print(f"jax {jax.__version__} {jax.devices()}, torch {torch.__version__}", file=sys.stderr)
    net = networks.make("nature", 4, dtype=args.dtype)
    params = make_weights(net)
    frames = np.random.default_rng(0).integers(0, 256, (batches[-1], 84, 84, 4), np.uint8)
    for name in args.methods:
        print(json.dumps(measure(name, net, params, frames, batches, args)), flush=True)


if __name__ == "__main__":
    main()
