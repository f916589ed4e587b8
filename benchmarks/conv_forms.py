"""Which form of a convolution is fastest on this machine, layer by layer and use by use.

    python benchmarks/conv_forms.py [--layers nature minatar coinrun] [--uses act-8 ...] [--forms ...] [--rounds 7]

Prints one JSON line a layer x use x form: microseconds a frame (median of the rounds, forms interleaved) and the ratio to
the fastest. `xla-plan` is what fast_convs takes without the extra `native`, `native` is oneDNN, `chosen` what it takes
here. Uses: act-N forward; act-scan forward in a scan; input-N gradient by the
input; learn gradients by parameters, and by the input where there is a layer below, in a scan of 4 minibatches (lax: of 8
frames and one round, as it would take minutes).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

from peers import fair

if __name__ == "__main__":
    fair.settle()  # starts the process again, before jax is imported

import jax
import jax.numpy as jnp

from rljax_viz.transforms.conv_forms import FORMS, Conv
from rljax_viz.transforms.conv_plan import NATIVE, Plan, choose, planned

# name: (side, channels, kernel, filters, stride, padding, whether its input needs a gradient in learning)
LAYERS = {
    "nature/conv1": (84, 4, 8, 32, 4, "VALID", False),
    "nature/conv2": (20, 32, 4, 64, 2, "VALID", True),
    "nature/conv3": (9, 64, 3, 64, 1, "VALID", True),
    "minatar/conv1-valid": (10, 4, 3, 16, 1, "VALID", False),
    "minatar/conv1-same": (10, 4, 3, 16, 1, "SAME", False),
    "coinrun/1a": (64, 3, 7, 16, 1, "SAME", False),
    "coinrun/2a": (32, 16, 5, 32, 1, "SAME", True),
    "coinrun/2b": (32, 32, 5, 32, 1, "SAME", True),
    "coinrun/3a": (16, 32, 5, 32, 1, "SAME", True),
    "coinrun/4a": (8, 32, 5, 32, 1, "SAME", True),
}
FORMS = {
    **FORMS,
    "xla-plan": lambda x, w, conv: planned(x, w, conv, choose(x.shape, w.shape, conv, None) or Plan("lax", "lax", "lax")),
    "native": lambda x, w, conv: planned(x, w, conv, NATIVE),
    "chosen": lambda x, w, conv: planned(x, w, conv, choose(x.shape, w.shape, conv) or Plan("lax", "lax", "lax")),
}
DEFAULT = [name for name in FORMS if name not in ("patches", "tiles-2x8")]  # minutes a call by the input; a variant
USES = ("act-8", "act-64", "act-scan", "input-32", "input-128", "learn")


def program(layer, use, form, minibatch):
    """-> (compiled function, its arguments, how many frames a call handles)"""
    side, c, k, out, stride, padding, deep = LAYERS[layer]
    pad = jax.lax.padtype_to_pads((side, side), (k, k), (stride, stride), padding)
    conv = Conv((stride, stride), tuple(pad))
    apply = FORMS[form]
    w = jax.random.normal(jax.random.key(0), (k, k, c, out)) / (k * k * c) ** 0.5

    def frames(*lead):
        return jax.random.normal(jax.random.key(1), (*lead, side, side, c))

    def loss(w, x):
        y = apply(x, w, conv)
        return (y * y).sum()

    if use.startswith("act-") and use != "act-scan":
        x = frames(int(use[4:]))
        run, n = (lambda w, x: apply(x, w, conv)), len(x)
    elif use == "act-scan":
        x, n = frames(8), 32  # four steps of eight environments: each frame hangs on the output before it

        def run(w, x):
            def step(x, _):
                return x + 1e-6 * apply(x, w, conv).mean(), None

            return jax.lax.scan(step, x, length=4)[0]
    elif use.startswith("input-"):
        x = frames(int(use[6:]))
        run, n = jax.grad(loss, 1), len(x)
    else:
        x = frames(4, 8 if form == "lax" else minibatch)
        n = x.shape[0] * x.shape[1]

        def run(w, x):
            def step(w, x):
                g, gx = jax.grad(loss, (0, 1))(w, x) if deep else (jax.grad(loss)(w, x), jnp.zeros(()))
                return w - 1e-9 * g, gx.sum()

            return jax.lax.scan(step, w, x)

    return jax.jit(run).lower(w, x).compile(), (w, x), n


def measure(layer, use, forms, rounds, minibatch):
    jobs = {form: program(layer, use, form, minibatch) for form in forms}
    times = {form: [] for form in forms}
    for round_ in range(rounds + 1):
        for form, (run, args, n) in jobs.items():
            if form == "lax" and use == "learn" and round_ > 1:
                continue
            start = time.perf_counter()
            jax.block_until_ready(run(*args))
            if round_:  # the first warms caches and memory
                times[form].append((time.perf_counter() - start) / n * 1e6)
    return {form: statistics.median(t) for form, t in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), help="prefixes of layer names")
    parser.add_argument("--uses", nargs="+", default=USES, choices=USES)
    parser.add_argument("--forms", nargs="+", default=DEFAULT, choices=list(FORMS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--minibatch", type=int, default=256, help="frames of a minibatch in learn")
    args = parser.parse_args()
    layers = [name for name in LAYERS if any(name.startswith(prefix) for prefix in args.layers)]
    if len(layers) > 1:  # each in a process of its own, which gives its memory back
        rest = [f"--rounds={args.rounds}", f"--minibatch={args.minibatch}", "--uses", *args.uses, "--forms", *args.forms]
        for layer in layers:
            subprocess.run([sys.executable, __file__, "--layers", layer, *rest], check=True)
        return
    for use in args.uses:
        found = measure(layers[0], use, args.forms, args.rounds, args.minibatch)
        best = min(found.values())
        for form, us in found.items():
            row = {"layer": layers[0], "use": use, "form": form, "us_per_frame": round(us, 2)}
            print(json.dumps({**row, "times_the_best": round(us / best, 2)}), flush=True)


if __name__ == "__main__":
    main()
