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
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.claims import Claim, Table, render

Scale = Literal["smoke", "paper"]
Games = Literal["minatar", "atari"]
Tiny = Annotated[bool, tyro.conf.arg(help="next to no training and a handful of frames: only shows that it runs")]
TINY = "A tiny run: it shows that the experiment runs. Its numbers mean nothing, so no claim is judged."


@dataclass(frozen=True)
class Experiment:
    """One run of one experiment: `scale`, the `folder` of its results, and the `command` that makes it again.

    `games` are those that agents learn at smoke scale: MinAtar's, or the real ones, of which a few 100,000 frames.
    Everything in `folder` is written whole or not at all, so a killed experiment goes on where it was. A `tiny` run only
    shows that the experiment runs: its report judges no claim.
    """

    scale: Scale
    folder: Path
    command: str
    games: Games = "minatar"
    tiny: bool = False

    @property
    def smoke(self) -> bool:
        """Whether this is a setting of CPU minutes, not the paper's."""
        return self.scale == "smoke"

    @property
    def size(self) -> str:
        """The scale in words: `smoke`, `smoke on atari`, `tiny smoke`, `paper`, ..."""
        words = ("tiny" if self.tiny else "", self.scale, "on atari" if self.smoke and self.atari else "")
        return " ".join(word for word in words if word)

    @property
    def atari(self) -> bool:
        """Whether agents learn the real games: always at the paper's scale."""
        return not self.smoke or self.games == "atari"

    def choose(self, smoke: Any, paper: Any, atari: Any = None) -> Any:
        """`paper` at its scale; at smoke scale `smoke`, on the real games `atari` where that is given."""
        if not self.smoke:
            return paper
        return atari if self.atari and atari is not None else smoke

    def part(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make()` gives (anything JSON can hold), from `parts/<name>.json` where it was made before."""
        path = self.folder / "parts" / f"{name}.json"
        if not path.exists():
            self.say(name)
            spent = path.with_suffix(".spent")  # seconds of earlier tries, which were stopped on the way
            earlier, others, begin = float(spent.read_text()) if spent.exists() else 0.0, self.seconds(), time.monotonic()

            def own() -> float:  # parts within this one count their own
                return round(earlier + time.monotonic() - begin - (self.seconds() - others), 1)

            try:
                value = make()
            except BaseException:
                keep(spent, str(own()))
                raise
            keep(path, json.dumps({"seconds": own(), "value": value}, indent=1))
            spent.unlink(missing_ok=True)
        return json.loads(path.read_text())["value"]

    def seconds(self) -> float:
        """What all parts took together, finished or stopped on the way."""
        parts = self.folder / "parts"
        done = sum(json.loads(path.read_text())["seconds"] for path in parts.rglob("*.json"))
        return done + sum(float(path.read_text()) for path in parts.rglob("*.spent"))

    def report(
        self, title: str, claims: Sequence[Claim], tables: Sequence[Table] = (), pictures: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> Path:
        """Writes `report.md` and `report.json`: claims with verdicts and numbers, tables, pictures (names in the folder)."""
        if self.tiny:
            claims = [claim._replace(verdict="beyond this scale") for claim in claims]
            notes = [TINY, *notes]
        text = render(title, self.size, self.command, self.seconds(), claims, tables, pictures, notes)
        found = {"title": title, "scale": self.size, "command": self.command, "claims": [claim._asdict() for claim in claims],
                 "tables": [table._asdict() for table in tables], "pictures": list(pictures), "notes": list(notes),
                 "seconds": self.seconds()}  # fmt: skip
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
    """The command line of an experiment: `--scale`, `--games`, `--out`, and the keyword options of `main(at, *, ...)`.

    Results go to `runs/experiments/<paper>/<scale>/<name>`, those of the real games at smoke scale to
    `runs/experiments/<paper>/smoke-atari/<name>`, unless `--out` says where.
    """
    paper, name = Path(file).parent.name, Path(file).stem
    module = f"experiments.{paper}.{name}"

    def command(scale: Scale = "smoke", games: Games = "minatar", out: Path | None = None, **options: Any) -> None:
        from rljax_viz.cli import ended_plainly, settle_process

        settle_process()
        short = scale == "smoke" and games == "atari"
        folder = out or Path("runs") / "experiments" / paper / ("smoke-atari" if short else scale) / name
        told = as_typed(module, main, scale=scale, games=games, out=out, **options)
        with ended_plainly(module, "stopped: the same command goes on where it was"):
            begin(main, folder, scale, told, games, **options)

    _give_signature(command, main)
    tyro.cli(command, prog=f"python -m {module}", description=main.__globals__["__doc__"])


def as_typed(module: str, main: Callable[..., Any], **options: Any) -> str:
    """The command that gives `main` these options: the scale, and every other one that is not at its default."""
    defaults = {"games": "minatar", "out": None}
    defaults |= {name: parameter.default for name, parameter in inspect.signature(main).parameters.items()}
    words = ["python", "-m", module]
    for name, value in options.items():
        flag = name.replace("_", "-")
        if name in defaults and value == defaults[name]:
            continue
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return shlex.join(words)


def begin(
    main: Callable[..., Any], folder: Path, scale: Scale, command: str, games: Games = "minatar", **options: Any
) -> Any:
    """`main` in `folder`; refuses a folder that holds results of another scale, of other games, or of a `tiny` run."""
    at = Experiment(scale, folder, command, games, bool(options.get("tiny")))
    mark, size = folder / "scale.json", at.size
    have = json.loads(mark.read_text())["scale"] if mark.exists() else size
    if have != size:
        raise ValueError(f"{folder} holds results of scale {have}, this is {size}: give another --out, or remove it")
    keep(mark, json.dumps({"scale": size, "command": command}) + "\n")
    return main(at, **options)


def _give_signature(command: Callable, main: Callable) -> None:
    """What tyro reads of `command`: scale, games and out, then what `main` takes besides its experiment."""
    scale = Annotated[Scale, tyro.conf.arg(help="smoke: minutes on a CPU; paper: the paper's own setting, days on GPUs")]
    told = "at smoke scale agents learn MinAtar, or 200,000 frames of the real games, which takes hours on two cores"
    games = Annotated[Games, tyro.conf.arg(help=told)]
    out = Annotated[Path | None, tyro.conf.arg(help="results' directory; else runs/experiments/<paper>/<scale>/<name>")]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in list(inspect.signature(main).parameters.values())[1:]]
    both = [
        inspect.Parameter("scale", inspect.Parameter.KEYWORD_ONLY, default="smoke", annotation=scale),
        inspect.Parameter("games", inspect.Parameter.KEYWORD_ONLY, default="minatar", annotation=games),
        inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=out),
    ]
    command.__signature__ = inspect.Signature([*both, *own])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*both, *own)}
