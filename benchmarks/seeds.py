"""What do eight seeds cost, in times of one: by vmap, one after the other in one program, a core each, or in processes?

    python benchmarks/seeds.py [--env Breakout-MinAtar] [--algo ppo] [--seeds 8] [--updates 4] [--rounds 5] [--quick]

An algorithm with its usual setting (one with a replay memory learns from its first update on), compiled once a way; then
all ways take turns, `--updates` updates each. `devices` makes a device of each core, which takes its part of the seeds one
after the other (what `rljax-viz train --seeds` does on a CPU); `processes` is two processes (as many as cores) that do the
same. Prints one JSON line: environment steps/s of one agent alone, and for each way the median and quartiles of (its
seconds / seconds of one seed).
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import time

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads
    CORES = min(2, os.cpu_count() or 1)
    os.environ["JAX_NUM_CPU_DEVICES"] = str(CORES)

import jax
import numpy as np


def config_of(env_id: str, algo: str, seeds: int = 1):
    """The algorithm as a run takes it, with little to wait for before it learns."""
    from rljax_viz.agents import find_algorithm
    from rljax_viz.runs import make_config

    fields = {field.name for field in dataclasses.fields(find_algorithm(algo).config)}
    little = {"learn_start": 64, "replay_size": 20_000} if "learn_start" in fields else {}
    return make_config(env_id, algo, steps=10**7, seeds=seeds, **little)


def programs(env_id: str, algo: str, seeds: int):
    """`{way: (state, update)}` of one seed, and of `seeds` by vmap and by map."""
    from rljax_viz.agents import find_algorithm
    from rljax_viz.networks import make as make_network

    config = config_of(env_id, algo)
    env = config.env()
    train = find_algorithm(algo).make_train(config.algorithm, env, make_network(config.network, env.num_actions))
    keys = jax.vmap(jax.random.key)(np.arange(seeds))
    in_turn = lambda f: lambda x: jax.lax.map(f, x)  # noqa: E731
    ways = {"one": (lambda f: f, keys[0]), "vmap": (jax.vmap, keys), "in_turn": (in_turn, keys)}
    made = {}
    for way, (over, key) in ways.items():
        made[way] = [jax.jit(over(train.init))(key), jax.jit(over(train.update), donate_argnums=0)]
    return made, train.steps_per_update


def work(core: int, env_id: str, algo: str, seeds: int, updates: int, turns, done) -> None:
    """A process on a core of its own: whenever it is told to, `updates` updates of each of its seeds."""
    os.sched_setaffinity(0, {core})  # before JAX begins: XLA takes as many threads as it may use cores
    made, _ = programs(env_id, algo, seeds)
    state, update = made["in_turn"]
    state, _ = jax.block_until_ready(update(state))
    done.put("ready")
    while turns.get():
        for _ in range(updates):
            state, _ = jax.block_until_ready(update(state))
        done.put("done")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--env", default="Breakout-MinAtar")
    parser.add_argument("--algo", default="ppo", help="as of rljax-viz train")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--updates", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two seeds, one update: only shows that it runs")
    args = parser.parse_args()
    seeds, updates, rounds = (2, 1, 2) if args.quick else (args.seeds, args.updates, args.rounds)
    from rljax_viz.runs import make_loop

    made, steps = programs(args.env, args.algo, seeds)
    loop = make_loop(config_of(args.env, args.algo, seeds))
    made["devices"] = [loop.init(), loop.update]

    def trial(way: str):
        def run() -> float:
            begin = time.perf_counter()
            for _ in range(updates):
                made[way][0], _ = jax.block_until_ready(made[way][1](made[way][0]))
            return time.perf_counter() - begin

        return run

    context = multiprocessing.get_context("spawn")
    turns, done = [context.Queue() for _ in range(CORES)], context.Queue()
    os.environ["JAX_NUM_CPU_DEVICES"] = "1"
    job = (args.env, args.algo, seeds // CORES, updates)
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    workers = [context.Process(target=work, args=(core, *job, turn, done)) for core, turn in zip(cores, turns, strict=True)]
    for worker in workers:
        worker.start()
    for _ in workers:
        done.get()

    def processes() -> float:
        begin = time.perf_counter()
        for turn in turns:
            turn.put(True)
        for _ in workers:
            done.get()
        return time.perf_counter() - begin

    sides = {way: trial(way) for way in made} | {"processes": processes}
    fair.take_turns(sides, 1)
    seconds = fair.take_turns(sides, rounds)
    for turn, worker in zip(turns, workers, strict=True):
        turn.put(False)
        worker.join()
    cost = {way: fair.ratios(took, seconds["one"]) for way, took in seconds.items() if way != "one"}
    speed = round(steps * updates / float(np.median(seconds["one"])))
    row = {"env": args.env, "algo": args.algo, "seeds": seeds, "steps_per_second_of_one": speed, "cost_in_seeds": cost}
    print(json.dumps({**row, "rounds": rounds}))


if __name__ == "__main__":
    main()
