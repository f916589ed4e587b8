"""A run from Python: `rljax_viz.open(run)` gives frames, outputs and maps as numpy."""

from functools import cached_property
from pathlib import Path
from typing import Any

from ..store import Episodes, Maps, map_name, open_maps
from .agent import Agent, load_agent
from .metrics import read_metrics


class Run:
    """What the directory of a run holds, read when it is asked for.

    `run.episodes.frames[i]`, `run.episodes.observations[i]`, `.action`, `.value`, `.logits`, `.rgb`, ... are numpy;
    `run.maps("grad_cam", score="value", layer="conv1")[i]` is a raw float32 map, and with `past=9`
    `[i][-2]` that of the frame before; `run.agent` its agent; `run.metrics` the rows of its training.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"no run at {self.path}; make one: rljax-viz demo --out {self.path}")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, maps={self.map_names})"

    @cached_property
    def episodes(self) -> Episodes:
        return Episodes(self.path / "episodes.zarr")

    @cached_property
    def agent(self) -> Agent:
        return load_agent(self.path)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return read_metrics(self.path)

    @property
    def map_names(self) -> list[str]:
        """The finished or begun sets of maps, as they are called on disk."""
        return sorted(path.stem for path in (self.path / "maps").glob("*.zarr"))

    def maps(self, method: str, *, score: str = "value", layer: str | None = None, past: int = 0) -> Maps:
        """The maps of one method and score; without `layer` the only layer that there is. With `past` those of a window of
        frames, `maps[i]` [past+1 H W], the newest LAST.

        Raises KeyError with what there is.
        """
        names = [n for n in self.map_names if n.partition("+")[2] == (f"past{past}" if past else "")]
        found = map_name(method, score, layer, past).removesuffix(".zarr")
        if layer is None and found not in names:
            stem = map_name(method, score).removesuffix(".zarr")
            fitting = [name for name in names if name.startswith(stem + "-")]
            found = fitting[0] if len(fitting) == 1 else ""
        if found not in names:
            what = f"{method!r} of {score!r} at {layer!r}" + (f" with {past} past frames" if past else "")
            raise KeyError(f"{self.path} has no maps {what}; it has {self.map_names}")
        return open_maps(self.path / "maps" / f"{found}.zarr")


def open_run(path: str | Path) -> Run:
    """The run in the directory `path`. Raises FileNotFoundError where there is none."""
    return Run(path)
