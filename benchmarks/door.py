"""What does the door to envpool cost: stepping by host callback, against `pool.xla()` and against plain Python?

    python benchmarks/door.py [--env Breakout-v5] [--games 8] [--steps 1000] [--rounds 9] [--quick]

Random actions in the same number of games and threads, the `baselines` preset. `door`: env.step in a scan; `xla`:
envpool's own operation in a scan, frames brought to channels last as the door does; `python`: pool.step in a loop, frames
as they come. They take turns. Prints one JSON line: microseconds a step of all games together (median, quartiles), and
what `door` and `xla` cost above plain Python, paired by round. Needs no extra.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads

import jax
import jax.numpy as jnp
import numpy as np
from peers.pool import make_pool

from rljax_viz import envs


def by_door(env: envs.Env, steps: int) -> Callable[[], None]:
    """Steps our Env inside one compiled program."""

    def run(state, timestep, key):
        def one(carry, key):
            return env.step(carry[0], jax.random.randint(key, (env.num_envs,), 0, env.num_actions)), None

        return jax.lax.scan(one, (state, timestep), jax.random.split(key, steps))[0]

    program, at = jax.jit(run), [env.reset(jax.random.key(0))]

    def call() -> None:
        at[0] = jax.block_until_ready(program(*at[0], jax.random.key(1)))

    return call


def by_xla(pool: Any, games: int, actions: int, steps: int) -> Callable[[], None]:
    """Steps the pool by its own operation inside one compiled program."""
    handle, _, _, step = pool.xla()
    obs, _ = pool.reset()

    def run(handle, obs, key):
        def one(carry, key):
            handle, (obs, *_) = step(carry[0], jax.random.randint(key, (games,), 0, actions))
            return (handle, jnp.moveaxis(obs, 1, -1)), None

        return jax.lax.scan(one, (handle, obs), jax.random.split(key, steps))[0]

    program, at = jax.jit(run), [(handle, jnp.moveaxis(jnp.asarray(obs), 1, -1))]

    def call() -> None:
        at[0] = jax.block_until_ready(program(*at[0], jax.random.key(1)))

    return call


def by_python(pool: Any, games: int, actions: int, steps: int) -> Callable[[], None]:
    """Steps the pool in a Python loop."""
    pool.reset()
    chosen = np.random.default_rng(0).integers(0, actions, (steps, games)).astype(np.int32)

    def call() -> None:
        for action in chosen:
            pool.step(action)

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--env", default="Breakout-v5", help="any Atari game of envpool")
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--steps", type=int, default=1000, help="steps of one measurement")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="two rounds of 20 steps: only shows that it runs")
    args = parser.parse_args()
    if args.quick:
        args.steps, args.rounds = 20, 2
    env = envs.make(args.env, args.games)
    rest = (args.games, env.num_actions, args.steps)
    calls = {
        "door": by_door(env, args.steps),
        "xla": by_xla(make_pool(env), *rest),
        "python": by_python(make_pool(env), *rest),
    }
    sides = {name: lambda call=call: fair.seconds(call) / args.steps * 1e6 for name, call in calls.items()}
    fair.take_turns(sides, 1)
    took = fair.take_turns(sides, args.rounds)
    row: dict[str, Any] = {"env": args.env, "games": args.games, "unit": "us per step of all games"}
    row |= {name: fair.spread(values) for name, values in took.items()}
    for name in ("door", "xla"):
        above = [a - b for a, b in zip(took[name], took["python"], strict=True)]
        row[f"{name}_above_python"] = fair.spread(above)
    print(json.dumps({**row, "rounds": args.rounds}))


if __name__ == "__main__":
    main()
