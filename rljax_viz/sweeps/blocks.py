"""Which rows are read, computed and written together: blocks of whole shards, cut into tiles, without what is done."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import numpy as np

from rljax_viz.store import Maps

Out = Maps | np.ndarray
_MOST_ROWS = 4096  # of a block, which is held in memory: three of them at most


@dataclass
class Block:
    """Rows [start, stop), read and written at once; `tiles` are the first rows of the tiles that are not done."""

    start: int
    stop: int
    tile: int
    tiles: list[int]
    maps: dict[str, np.ndarray] = field(default_factory=dict)

    def rows(self, first: int) -> slice:
        """The rows of the tile that begins at `first`."""
        return slice(first, min(first + self.tile, self.stop))

    def span(self) -> slice:
        """From the first tile that is not done to the last."""
        return slice(self.tiles[0], self.rows(self.tiles[-1]).stop)

    def allocate(self, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> None:
        size = self.stop - self.start
        self.maps = {name: np.empty((size, *one.shape), one.dtype) for name, one in shapes.items()}

    def fill(self, first: int, maps: Mapping[str, jax.Array]) -> None:
        """Takes the maps of one tile from the device, without the rows that only pad it."""
        rows = self.rows(first)
        place, size = slice(rows.start - self.start, rows.stop - self.start), rows.stop - rows.start
        for name, values in maps.items():
            self.maps[name][place] = np.asarray(values)[:size]

    def write(self, outs: Mapping[str, Out]) -> None:
        """Into every out, neighbouring tiles together: as few writes as can be."""
        for _, group in itertools.groupby(enumerate(self.tiles), lambda pair: pair[1] - pair[0] * self.tile):
            firsts = [first for _, first in group]
            rows = slice(firsts[0], self.rows(firsts[-1]).stop)
            for name, out in outs.items():
                out[rows] = self.maps[name][rows.start - self.start : rows.stop - self.start]
        self.maps = {}


def plan(outs: Mapping[str, Out], count: int, tile: int) -> list[Block]:
    """The blocks with anything left to do. A tile is done when every out is a store and has all its rows."""
    stores = [out for out in outs.values() if isinstance(out, Maps)]
    size = math.lcm(tile, *(store.shard for store in stores))
    if size > _MOST_ROWS or not stores:
        shard = max((store.shard for store in stores), default=8 * tile)
        size = math.ceil(tile / shard) * shard
    every = len(stores) == len(outs)
    done = np.logical_and.reduce([store.done for store in stores]) if every else np.zeros(count, bool)
    blocks = []
    for start in range(0, count, size):
        stop = min(start + size, count)
        tiles = [row for row in range(start, stop, tile) if not done[row : min(row + tile, stop)].all()]
        if tiles:
            blocks.append(Block(start, stop, tile, tiles))
    return blocks
