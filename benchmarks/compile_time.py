"""How long does the first use of each method take, and how long the next run on the same machine?

    python benchmarks/compile_time.py [--methods gradient lrp ...] [--tile 64] [--repeats 3]

Nature CNN, 84x84x4, a tile of 64 frames as `sweeps.map_frames` compiles it. Each first use in a process of its own:
tracing and compiling without a cache ("cold"), then with the cache that a first run left on disk ("cached"). Prints one
JSON line a method: medians of the seconds from the call to the compiled program, tracing included, and how many methods
took more than 3 s. Importing jax and starting the process are not in it, nor is running.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

AIM = 3.0  # seconds


def programs():
    """name -> the explain of a method, with what it cannot do without."""
    import jax.numpy as jnp
    from peers import maps_by_hand

    from rljax_viz.explain import METHODS, scores
    from rljax_viz.transforms import fast_convs

    data = {"baselines": jnp.zeros((8, 84, 84, 4), jnp.uint8), "masks": jnp.asarray(maps_by_hand.rise_masks())}

    def make(name, net):
        method = METHODS[name]
        what = (lambda out: out.logits) if method.vector else scores.value
        layer = ["conv3"] if method.needs_layer else []
        needs = {key: data[key] for key in method.needs}
        return method.factory(fast_convs(net.apply), what, *layer, **method.options, **needs), method.random

    return {name: lambda net, name=name: make(name, net) for name in METHODS}


def one(name: str, tile: int) -> None:
    """Prints the seconds of a first use in this process."""
    import jax
    import jax.numpy as jnp

    from rljax_viz import networks
    from rljax_viz.transforms import native

    net = networks.make("nature", 4)
    frame = jnp.zeros((84, 84, 4), jnp.uint8)
    params = jax.eval_shape(net.init, jax.random.key(0), frame)
    native.why_not()  # builds or loads oneDNN: once a machine, not a method's
    explain, random = programs()[name](net)
    obs = jax.ShapeDtypeStruct((tile, *frame.shape), frame.dtype)
    given = (jax.eval_shape(lambda: jax.random.split(jax.random.key(0), tile)),) if random else ()
    program = jax.jit(jax.vmap(explain, (0,) * len(given) + (None, 0)))
    start = time.perf_counter()
    program.lower(*given, params, obs).compile()
    print(time.perf_counter() - start)


def seconds(name: str, tile: int, cache: str | None) -> float:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMPILATION_CACHE", "JAX_PERSISTENT"))}
    if cache:
        environment |= {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, __file__, "--one", name, "--tile", str(tile)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", nargs="+", metavar="NAME")
    parser.add_argument("--tile", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", metavar="NAME", help="one first use in this process (what the others start)")
    args = parser.parse_args()
    if args.one:
        one(args.one, args.tile)
        return
    import statistics

    slow = []
    for name in args.methods or programs():
        with tempfile.TemporaryDirectory() as cache:
            seconds(name, args.tile, cache)  # fills it
            cold, cached = (
                statistics.median(seconds(name, args.tile, where) for _ in range(args.repeats)) for where in (None, cache)
            )
        print(json.dumps({"method": name, "cold": round(cold, 2), "cached": round(cached, 2)}), flush=True)
        slow += [name] * (cold > AIM)
    print(json.dumps({"over_3_s": slow}))


if __name__ == "__main__":
    main()
