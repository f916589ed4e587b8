"""What the explorer draws, as sources of equal tiles: the distinct frames, the game in colour, each series of maps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from .atlas import COLUMNS, quantise, tiles_per_atlas
from .recording import MapSeries, Recording


@dataclass(frozen=True)
class Source:
    """`count` tiles of one size; `read(start, stop)` gives some of them, uint8 [n height width] or [... 3]."""

    height: int
    width: int
    count: int
    read: Callable[[int, int], np.ndarray]
    lossy: bool = False
    atlases: list[int] = field(default_factory=list)  # filled as they are written

    @property
    def per_atlas(self) -> int:
        return tiles_per_atlas(self.height, self.width)

    @property
    def spec(self) -> dict[str, object]:
        """TILES of the page's format."""
        columns = min(COLUMNS, self.per_atlas, self.count)
        return {"height": self.height, "width": self.width, "columns": columns, "per_atlas": self.per_atlas,
                "atlases": self.atlases}


def frame_source(recording: Recording) -> tuple[Source, np.ndarray]:
    """The distinct frames of all stacks, and which of them stand in each stack, [T stack] oldest first.

    Stacks are cut up and equal frames are stored once, so that the page shows exactly what the agent was given,
    whatever the padding after a reset and however the steps were chosen.
    """
    obs, stack = recording.obs, recording.stack
    height, width, channels = recording.newest.shape[1:]
    index = np.zeros((len(recording), stack), np.int64)
    places: list[tuple[int, int]] = []  # the row and the place in its stack where a frame is seen first
    known: dict[bytes, int] = {}
    for t in range(len(recording)):
        for k in range(stack):
            name = blake2b(obs[t, ..., k * channels:(k + 1) * channels].tobytes(), digest_size=16).digest()
            if name not in known:
                known[name] = len(places)
                places.append((t, k))
            index[t, k] = known[name]

    def read(start: int, stop: int) -> np.ndarray:
        frames = np.stack([obs[t, ..., k * channels:(k + 1) * channels] for t, k in places[start:stop]])
        if channels == 3:
            return frames
        planes = np.moveaxis(frames, -1, 2)  # [n height channels width]: planes side by side
        return planes.reshape(len(frames), height, channels * width)

    return Source(height, width if channels in (1, 3) else channels * width, len(places), read), index


def rgb_source(rgb: np.ndarray) -> Source:
    return Source(rgb.shape[1], rgb.shape[2], len(rgb), lambda start, stop: rgb[start:stop], lossy=True)


class MapSource:
    """The tiles of one series; its scales and signs are known when all of them have been read."""

    def __init__(self, series: MapSeries) -> None:
        count, height, width = np.shape(series.values)
        self.series = series
        self.scale = np.zeros(count, np.float32)
        self.signed = False
        self.tiles = Source(height, width, count, self._read)

    def _read(self, start: int, stop: int) -> np.ndarray:
        try:
            data, self.scale[start:stop] = quantise(np.asarray(self.series.values[start:stop]))
        except ValueError as error:
            raise ValueError(f"{self.series.label}, counted from row {start}: {error}") from error
        self.signed |= bool((data < 128).any())
        return data


def map_sources(maps: Sequence[MapSeries]) -> list[MapSource]:
    return [MapSource(series) for series in maps]
