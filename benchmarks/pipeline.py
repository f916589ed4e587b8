"""How much of a compiled method's speed is left when frames come from a store and maps go to one?

    python benchmarks/pipeline.py [--frames 8192] [--rounds 9] [--methods NAME ...] [--quick]

`bare`: the compiled method on tiles that lie in memory already, maps left where they are. `pipeline`: `map_frames` from
`episodes.zarr` (stacks gathered) into a store of float16 maps. The same tile, found by `best_tile`; they take turns.
Prints one JSON line a method: frames a second, and pipeline / bare, paired by round. Needs no extra.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads

import jax

from rljax_viz.runs import load_agent, make_explain, record
from rljax_viz.store import Episodes, create_maps
from rljax_viz.sweeps import best_tile, map_frames

AGENT = "zoo:Breakout-v5"
METHODS = ("gradient", "guided_backprop", "grad_cam", "integrated_gradients")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="two rounds of 256 frames: only shows that it runs")
    args = parser.parse_args()
    if args.quick:
        args.frames, args.rounds, args.methods = 256, 2, METHODS[:1]
    agent = load_agent(AGENT)
    with tempfile.TemporaryDirectory() as folder:
        record(agent, Path(folder), 1000, max_steps=args.frames)
        episodes = Episodes(Path(folder) / "episodes.zarr")
        for method in args.methods:
            print(json.dumps(measure(agent, episodes, method, args.rounds, Path(folder) / "maps.zarr")), flush=True)


def measure(agent, episodes, method: str, rounds: int, path: Path) -> dict:
    options = {"steps": 10} if method == "integrated_gradients" else {}
    explain, rest = make_explain(agent, method, "value", **options), (episodes.action,)
    count = len(episodes) if method != "integrated_gradients" else len(episodes) // 4
    seen = episodes.observations[:count]
    tile = best_tile(explain, agent.params, seen, rest=(rest[0][:count],))
    compiled = jax.jit(jax.vmap(explain, (None, 0, 0)))
    tiles = [slice(at, at + tile) for at in range(0, count - tile + 1, tile)]
    ready = [(jax.device_put(seen[rows]), jax.device_put(rest[0][rows])) for rows in tiles]
    shape = compiled(agent.params, *ready[0]).shape[1:]

    def bare() -> None:
        for obs, action in ready:
            last = compiled(agent.params, obs, action)
        jax.block_until_ready(last)

    def pipeline() -> None:
        maps = create_maps(path, frames=len(episodes), shape=shape, attributes={})
        map_frames(explain, agent.params, episodes.observations, maps, rest=rest, tile=tile, span=(0, count))

    def fresh(call) -> float:
        shutil.rmtree(path, ignore_errors=True)
        return fair.seconds(call)

    sides = {"bare": lambda: len(ready) * tile / fresh(bare), "pipeline": lambda: count / fresh(pipeline)}
    fair.take_turns(sides, 1)
    took = fair.take_turns(sides, rounds)
    row = {"method": method, "tile": tile, "frames": count, **{name: fair.spread(values) for name, values in took.items()}}
    return {**row, "pipeline_of_bare": fair.ratios(took["pipeline"], took["bare"]), "rounds": rounds}


if __name__ == "__main__":
    main()
