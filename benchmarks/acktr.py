"""What does the natural gradient buy? ACKTR and A2C on the same games, networks and steps.

    python benchmarks/acktr.py [--env Breakout-MinAtar] [--steps 400000] [--seeds 2]

Each with the settings of the registry (`--set KEY=VALUE` changes ACKTR's). Prints one JSON line: the mean return over ten
equal stretches of the training, averaged over the seeds, and environment steps a second, compilation left out. What each
training gave stands on the error output at once.
"""

import argparse
import json
import sys
import time

import jax
import numpy as np

from rljax_viz import networks
from rljax_viz.agents import find_algorithm
from rljax_viz.runs import make_config


def curve(algo: str, env_id: str, steps: int, seed: int, **changes) -> tuple[list[float], float]:
    """Ten mean returns, and steps a second."""
    config = make_config(env_id, algo, steps=steps, seed=seed, **changes)
    env = config.env()
    network = networks.make(config.network, env.num_actions)
    algorithm = find_algorithm(algo).make_train(config.algorithm, env, network)
    state, ended = jax.jit(algorithm.init)(jax.random.key(seed)), []
    update = jax.jit(algorithm.update, donate_argnums=0).lower(state).compile()
    begin = time.perf_counter()
    for _ in range(algorithm.num_updates):
        state, metrics = update(state)
        ended.append((float(metrics.episodes.count), float(metrics.episodes.return_sum)))
    speed = algorithm.steps_per_update * algorithm.num_updates / (time.perf_counter() - begin)
    returns = [float(total / max(count, 1)) for count, total in (p.sum(0) for p in np.array_split(np.array(ended), 10))]
    print(algo, seed, [round(r, 2) for r in returns], f"{speed:.0f} steps/s", file=sys.stderr, flush=True)
    return returns, speed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", default="Breakout-MinAtar")
    parser.add_argument("--steps", type=int, default=400_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    changes = {name: json.loads(value) for name, value in (pair.split("=") for pair in options.set)}
    result: dict = {"env": options.env, "steps": options.steps, "seeds": options.seeds, "acktr settings": changes}
    for algo in ("acktr", "a2c"):
        changed = changes if algo == "acktr" else {}
        runs = [curve(algo, options.env, options.steps, seed, **changed) for seed in range(options.seeds)]
        result[algo] = {
            "returns": [round(float(r), 2) for r in np.mean([returns for returns, _ in runs], 0)],
            "steps/s": round(float(np.median([speed for _, speed in runs]))),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
