"""Does a killed `rljax-viz explain` lose or change anything? SIGKILL at random moments, the same command again, 100 times.

    python benchmarks/kill.py [--kills 100] [--steps 8192] [--quick]

An agent of the zoo plays; its steps are explained once without interruption. Then the same command on a copy is killed at
random moments after its first map is on disk, and started again, until it is through; then anew, until all kills are
spent. At the end of each job: every file of maps equals the uninterrupted one byte for byte, and no file changed after
its maps were marked as done. Prints one JSON line. Needs no extra.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = "import sys; from rljax_viz.cli import main; sys.argv[0] = 'rljax-viz'; main()"
AGENT, MAPS = "zoo:Breakout-v5", "guided_backprop-value.zarr"


def command(run: Path) -> list[str]:
    """The command that is killed."""
    options = ["--method", "guided_backprop", "--score", "value", "--tile", "32"]
    return [sys.executable, "-c", COMMAND, "explain", str(run), *options]


def record(run: Path, steps: int) -> None:
    arguments = ["play", AGENT, "--record", "--episodes", "1000", "--max-steps", str(steps), "--out", str(run)]
    subprocess.run([sys.executable, "-c", COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL)


def digests(store: Path) -> dict[str, str]:
    """What every file of maps holds."""
    files = (path for path in sorted(store.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def finished(store: Path) -> dict[str, int]:
    """When each file of the shards that are done was written."""
    from rljax_viz.store import open_maps

    if not (store / "zarr.json").exists():
        return {}
    maps = open_maps(store)
    done = maps.done
    whole = {str(number) for number, rows in enumerate(maps.shards()) if done[rows].all()}
    files = (path for path in store.glob("*/c.*") if path.name.split(".")[1] in whole)
    return {str(path): path.stat().st_mtime_ns for path in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--steps", type=int, default=8192, help="recorded steps of one job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two kills in 1024 steps: only shows that it runs")
    args = parser.parse_args()
    if args.quick:
        args.kills, args.steps = 2, 1024
    rng = random.Random(args.seed)
    kills = jobs = midway = changed = 0
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        record(whole, args.steps)
        shutil.copytree(whole, killed)
        subprocess.run(command(whole), check=True, stdout=subprocess.DEVNULL)
        want, store = digests(whole / "maps" / MAPS), killed / "maps" / MAPS
        before: dict[str, int] = {}
        while True:
            process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, env={**os.environ})
            if kills < args.kills:
                while process.poll() is None and len(finished(store)) == len(before):
                    time.sleep(0.02)
                time.sleep(rng.uniform(0, 0.8))
            else:
                process.wait()
            over = process.poll() is not None
            if not over:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
            now = finished(store)
            changed += sum(now.get(name) != at for name, at in before.items())
            midway += not over and 0 < len(now) < len(want) - 4
            before = now
            if over:
                if process.returncode:
                    raise SystemExit(f"the command failed with exit code {process.returncode}")
                if (found := digests(store)) != want:
                    different = sorted(n for n in {*want, *found} if want.get(n) != found.get(n))
                    raise SystemExit(f"after {kills} kills these files differ: {different}")
                jobs += 1
                if kills >= args.kills:
                    break
                shutil.rmtree(killed / "maps")
                before = {}
        if changed:
            raise SystemExit(f"{changed} files of finished maps were written again")
        row = {"kills": kills, "with_a_part_done": midway, "jobs": jobs, "steps": args.steps, "files": len(want)}
    print(json.dumps({**row, "identical": True, "finished_files_written_again": 0, "seed": args.seed}))


if __name__ == "__main__":
    main()
