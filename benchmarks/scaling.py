"""What does a frame cost, from a thousand frames to a million, and from one worker to several? And a billion on 64 GPUs?

    python benchmarks/scaling.py [--most 1000000] [--workers 1 2] [--quick]

The small network of MinAtar (10x10x4) explained by gradient, so that a million frames take minutes: the machinery, not the
network, is what is measured. Frames of a recording are repeated to the length that is asked for; each length is explained
once, from a store into a store. Prints one JSON line a measurement: microseconds and bytes a frame, resident memory; then
the same frames by Ray's workers (extra `ray`). RESULTS.md has the model that follows from the numbers.
"""

import argparse
import functools
import json
import resource
import tempfile
import time
from pathlib import Path

from peers import fair

if __name__ == "__main__":
    fair.settle()  # before anything allocates or starts threads

import numpy as np

from rljax_viz.runs import explain_part, explain_run, load_agent, record
from rljax_viz.store import Episodes, create_episodes
from rljax_viz.sweeps import run_on_ray

AGENT = "zoo:Breakout-MinAtar"


def repeated(source: Episodes, run: Path, count: int) -> None:
    """A recording of `count` steps, made of those of `source` again and again."""
    columns = {name: source[name][:] for name in source.columns}
    have = len(source)
    kinds = {n: (v.shape[1:], v.dtype.name) for n, v in columns.items() if n not in ("frames", "stack_start")}
    options = {"stack": source.stack, "padding": source.padding, "attributes": source.attributes, "columns": kinds}
    with create_episodes(run / "episodes.zarr", frame_shape=columns["frames"].shape[1:], **options) as writer:
        for at in range(0, count, have):
            part = {name: values[: min(have, count - at)] for name, values in columns.items()}
            part["episode"] = part["episode"] + np.int32(at)
            part["stack_start"] = (np.arange(len(part["episode"])) == 0) | part["stack_start"]
            writer.append(**part)


def size_of(folder: Path) -> tuple[int, int]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files), len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--most", type=float, default=1e6)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="of Ray; none with `--workers` alone")
    parser.add_argument("--quick", action="store_true", help="one and two thousand frames, no Ray: only shows that it runs")
    args = parser.parse_args()
    if args.quick:
        args.most, args.workers = 2e3, []
    agent = load_agent(AGENT)
    with tempfile.TemporaryDirectory() as folder:
        record(agent, Path(folder) / "games", 1000, max_steps=min(int(args.most), 10_000))
        games = Episodes(Path(folder) / "games" / "episodes.zarr")
        count, run = 1000, Path(folder)
        while count <= args.most:
            run = Path(folder) / str(count)
            repeated(games, run, count)
            began = time.perf_counter()
            explain_run(agent, run, ["gradient"], ["value"], tile=256)
            seconds = time.perf_counter() - began
            maps, files = size_of(run / "maps")
            frames, _ = size_of(run / "episodes.zarr" / "frames")
            row = {
                "frames": count, "us_per_frame": round(seconds / count * 1e6, 1), "map_bytes": round(maps / count, 1),
                "frame_bytes": round(frames / count, 1), "map_files": files,
                "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }  # fmt: skip
            print(json.dumps(row), flush=True)
            count *= 10 if not args.quick else 2
        for workers in args.workers:
            fresh = run.with_name(f"{run.name}-{workers}")
            fresh.mkdir()
            (fresh / "episodes.zarr").symlink_to(run / "episodes.zarr")
            job = {"run": fresh, "methods": ["gradient"], "score_names": ["value"], "tile": 256}
            task = functools.partial(explain_part, source=AGENT, **job)
            began = time.perf_counter()
            run_on_ray(task, 8 * workers, workers=workers, environment={"JAX_PLATFORMS": "cpu"})
            seconds, count = time.perf_counter() - began, len(Episodes(fresh / "episodes.zarr"))
            row = {"frames": count, "workers": workers, "us_per_frame": round(seconds / count * 1e6, 1)}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
