"""What every experiment shares: its options, parts that are done once, and where its results go.

    def main(at: Experiment) -> None:
        rows = at.part("counts", count)             # computed once, read from disk ever after
        at.report("Table 2: ...", claims, [table])  # report.md and report.json

    if __name__ == "__main__":
        launch(main, __file__)
"""

import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.claims import Claim, Table, render

Scale = Literal["smoke", "paper"]
Tiny = Annotated[bool, tyro.conf.arg(help="next to no training and a handful of frames: only shows that it runs")]


@dataclass(frozen=True)
class Experiment:
    """One run of one experiment: `scale`, the `folder` of its results, and the `command` that makes it again.

    Everything in `folder` is written whole or not at all, so a killed experiment goes on where it was.
    """

    scale: Scale
    folder: Path
    command: str

    @property
    def smoke(self) -> bool:
        """Whether this is the setting of a few CPU minutes, not the paper's."""
        return self.scale == "smoke"

    def choose(self, smoke: Any, paper: Any) -> Any:
        """`smoke` at smoke scale, else `paper`."""
        return smoke if self.smoke else paper

    def part(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make()` gives (anything JSON can hold), from `parts/<name>.json` where it was made before."""
        path = self.folder / "parts" / f"{name}.json"
        if not path.exists():
            self.say(name)
            spent = path.with_suffix(".spent")  # seconds of earlier tries, which were stopped on the way
            begin = time.monotonic() - (float(spent.read_text()) if spent.exists() else 0.0)
            try:
                value = make()
            except BaseException:
                keep(spent, f"{time.monotonic() - begin:.1f}")
                raise
            keep(path, json.dumps({"seconds": round(time.monotonic() - begin, 1), "value": value}, indent=1))
            spent.unlink(missing_ok=True)
        return json.loads(path.read_text())["value"]

    def seconds(self) -> float:
        """What all finished parts took together."""
        parts = (self.folder / "parts").rglob("*.json")
        return sum(json.loads(path.read_text())["seconds"] for path in parts)

    def report(
        self, title: str, claims: Sequence[Claim], tables: Sequence[Table] = (), pictures: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> Path:
        """Writes `report.md` and `report.json`: claims with verdicts and numbers, tables, pictures (names in the folder)."""
        text = render(title, self.scale, self.command, self.seconds(), claims, tables, pictures, notes)
        found = {"title": title, "scale": self.scale, "claims": [claim._asdict() for claim in claims],
                 "tables": [table._asdict() for table in tables], "seconds": self.seconds()}  # fmt: skip
        keep(self.folder / "report.json", json.dumps(found, indent=1, default=str))
        print(text)
        return keep(self.folder / "report.md", text)

    def say(self, what: str) -> None:
        print(f"[{self.folder.name}] {what}", flush=True)


def keep(path: Path, text: str) -> Path:
    """Writes `text` so that a kill leaves the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    half.write_text(text)
    os.replace(half, path)
    return path


def launch(main: Callable[..., Any], file: str) -> None:
    """The command line of an experiment: `--scale`, `--out`, and the keyword options of `main(at, *, ...)` itself.

    Results go to `runs/experiments/<paper>/<scale>/<name>` unless `--out` says where.
    """
    paper, name = Path(file).parent.name, Path(file).stem
    module = f"experiments.{paper}.{name}"

    def command(scale: Scale = "smoke", out: Path | None = None, **options: Any) -> None:
        from rljax_viz.cli import settle_process

        settle_process()
        folder = out or Path("runs") / "experiments" / paper / scale / name
        try:
            begin(main, folder, scale, f"python -m {module} --scale {scale}", **options)
        except KeyboardInterrupt as stop:
            print(str(stop) or "stopped: the same command goes on where it was", file=sys.stderr)
            raise SystemExit(130) from None

    _give_signature(command, main)
    tyro.cli(command, prog=f"python -m {module}", description=main.__globals__["__doc__"])


def begin(main: Callable[..., Any], folder: Path, scale: Scale, command: str, **options: Any) -> Any:
    """`main` in `folder`; refuses a folder that holds results of another scale, or of a `tiny` run."""
    mark, size = folder / "scale.json", f"tiny {scale}" if options.get("tiny") else scale
    have = json.loads(mark.read_text())["scale"] if mark.exists() else size
    if have != size:
        raise ValueError(f"{folder} holds results of scale {have}, this is {size}: give another --out, or remove it")
    keep(mark, json.dumps({"scale": size, "command": command}) + "\n")
    return main(Experiment(scale, folder, command), **options)


def _give_signature(command: Callable, main: Callable) -> None:
    """What tyro reads of `command`: scale and out, then what `main` takes besides its experiment."""
    scale = Annotated[Scale, tyro.conf.arg(help="smoke: minutes on a CPU; paper: the paper's own setting, days on GPUs")]
    out = Annotated[Path | None, tyro.conf.arg(help="results' directory; else runs/experiments/<paper>/<scale>/<name>")]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in list(inspect.signature(main).parameters.values())[1:]]
    both = [
        inspect.Parameter("scale", inspect.Parameter.KEYWORD_ONLY, default="smoke", annotation=scale),
        inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=out),
    ]
    command.__signature__ = inspect.Signature([*both, *own])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*both, *own)}
