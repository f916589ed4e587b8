"""How long does the first use of each method take, and how long the next run on the same machine?

    python benchmarks/compile_time.py [--methods gradient lrp ...] [--tile 64] [--repeats 3]

Nature CNN, 84x84x4, a tile of 64 frames as `sweeps.map_frames` compiles it, jax's caches cleared before each method. One
process begins with an empty cache on disk ("cold": tracing and compiling), the next with the one that it left ("cached").
Prints one JSON line a method: medians over `--repeats` such pairs of the seconds to the compiled program, tracing included;
at the end which took more than 3 s. Importing jax, starting the process, building oneDNN's shim and running are not in it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from peers import maps_by_hand

from rljax_viz import networks
from rljax_viz.explain import METHODS, scores
from rljax_viz.transforms import fast_convs, native

AIM = 3.0  # seconds


def explain_of(name: str, net: Any) -> Callable:
    """The method of that name, with what it cannot do without."""
    method = METHODS[name]
    data = {"baselines": jnp.zeros((8, 84, 84, 4), jnp.uint8), "masks": jnp.asarray(maps_by_hand.rise_masks())}
    layer = ["conv3"] if method.needs_layer else []
    needs = {key: data[key] for key in method.needs}
    return method.factory(fast_convs(net.apply), _explained(method.vector), *layer, **method.options, **needs)


def _explained(vector: bool) -> Callable:
    return scores.vector("logits") if vector else scores.value


def first_use(name: str, tile: int) -> float:
    """Seconds from nothing in memory to the compiled program."""
    net = networks.make("nature", 4)
    frame = jax.ShapeDtypeStruct((84, 84, 4), jnp.uint8)
    params = jax.eval_shape(net.init, jax.random.key(0), frame)
    obs = jax.ShapeDtypeStruct((tile, *frame.shape), frame.dtype)
    keys = (jax.eval_shape(lambda: jax.random.split(jax.random.key(0), tile)),) if METHODS[name].random else ()
    explain = explain_of(name, net)
    native.why_not()  # builds or loads oneDNN: once a machine, not a method's
    jax.clear_caches()
    start = time.perf_counter()
    jax.jit(jax.vmap(explain, (*(0 for _ in keys), None, 0))).lower(*keys, params, obs).compile()
    return time.perf_counter() - start


def one_process(methods: list[str], tile: int, cache: str) -> dict[str, float]:
    """Each method's first use in a new process with this cache on disk."""
    own = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, __file__, "--inside", "--tile", str(tile), "--methods", *methods]
    done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="NAME")
    parser.add_argument("--tile", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--inside", action="store_true", help="one pass in this process (what the others start)")
    args = parser.parse_args()
    if args.inside:
        print(json.dumps({name: first_use(name, args.tile) for name in args.methods}))
        return
    cold, cached = [], []
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(one_process(args.methods, args.tile, cache))
            cached.append(one_process(args.methods, args.tile, cache))
    slow = []
    for name in args.methods:
        first, next_run = (statistics.median(took[name] for took in side) for side in (cold, cached))
        print(json.dumps({"method": name, "cold": round(first, 2), "cached": round(next_run, 2)}))
        slow += [name] * (first > AIM)
    print(json.dumps({"over_3_s": slow, "sum": round(sum(statistics.median(t[n] for t in cold) for n in args.methods), 1)}))


if __name__ == "__main__":
    main()
