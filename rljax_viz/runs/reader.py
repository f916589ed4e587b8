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
    `run.maps("grad_cam", score="value", layer="conv1")[i]` is a raw float32 map; `run.agent` its agent; `run.metrics`
    the rows of its training.
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

    def maps(self, method: str, *, score: str = "value", layer: str | None = None) -> Maps:
        """The maps of one method and score; without `layer` the only layer that there is.

        Raises KeyError with what there is.
        """
        if layer is None:
            stem = map_name(method, score).removesuffix(".zarr")
            fitting = [name for name in self.map_names if name == stem or name.startswith(stem + "-")]
            found = fitting[0] if len(fitting) == 1 else ""
        else:
            found = map_name(method, score, layer).removesuffix(".zarr")
        if found not in self.map_names:
            raise KeyError(f"{self.path} has no maps {method!r} of {score!r} at {layer!r}; it has {self.map_names}")
        return open_maps(self.path / "maps" / f"{found}.zarr")


def open_run(path: str | Path) -> Run:
    """The run in the directory `path`. Raises FileNotFoundError where there is none."""
    return Run(path)
