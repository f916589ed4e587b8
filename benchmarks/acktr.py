"""What does the natural gradient buy? ACKTR and A2C on the same games, networks and steps.

    python benchmarks/acktr.py [--env Breakout-MinAtar] [--steps 400000] [--seeds 2]

Each with the settings of the registry (`--set KEY=VALUE` changes ACKTR's). Prints one JSON line: the mean return over ten
equal stretches of the training, averaged over the seeds, and environment steps a second, compilation left out.
"""

import argparse
import json
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
    update = jax.jit(algorithm.update, donate_argnums=0)
    state, ended = jax.jit(algorithm.init)(jax.random.key(seed)), []
    for at in range(algorithm.num_updates):
        state, metrics = update(state)
        ended.append((float(metrics.episodes.count), float(metrics.episodes.return_sum)))
        if at == 0:
            begin = time.perf_counter()
    seconds = time.perf_counter() - begin
    parts = [part.sum(0) for part in np.array_split(np.array(ended), 10)]
    return [float(total / max(count, 1)) for count, total in parts], algorithm.steps_per_update * (at or 1) / seconds


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
