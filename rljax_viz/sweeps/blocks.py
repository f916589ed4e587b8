"""Which rows are read, computed and written together: blocks of whole shards, cut into tiles, without what is done."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rljax_viz.store import Claims, Maps

Out = Maps | np.ndarray
_MOST_ROWS = 4096  # of a block, which is held in memory: three of them at most


@dataclass
class Block:
    """Rows [start, stop), read and written at once; `tiles` are the first rows of the tiles that are not done."""

    start: int
    stop: int
    tile: int
    tiles: list[int]
    maps: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def rows(self, first: int) -> slice:
        """The rows of the tile that begins at `first`."""
        return slice(first, min(first + self.tile, self.stop))

    def span(self) -> slice:
        """From the first tile that is not done to the last."""
        return slice(self.tiles[0], self.rows(self.tiles[-1]).stop)

    def fill(self, first: int, maps: Mapping[str, Mapping[str, Any]]) -> None:
        """Takes the maps of one tile from the device, part by part as they are stored, without the rows that only pad it."""
        rows = self.rows(first)
        place, size = slice(rows.start - self.start, rows.stop - self.start), rows.stop - rows.start
        for name, parts in maps.items():
            for part, values in parts.items():
                values, held = np.asarray(values), self.maps.setdefault(name, {})
                if part not in held:
                    held[part] = np.empty((self.stop - self.start, *values.shape[1:]), values.dtype)
                held[part][place] = values[:size]

    def write(self, outs: Mapping[str, Out]) -> None:
        """Into every out, neighbouring tiles together: as few writes as can be."""
        for _, group in itertools.groupby(enumerate(self.tiles), lambda pair: pair[1] - pair[0] * self.tile):
            firsts = [first for _, first in group]
            rows = slice(firsts[0], self.rows(firsts[-1]).stop)
            place = slice(rows.start - self.start, rows.stop - self.start)
            for name, out in outs.items():
                parts = {part: values[place] for part, values in self.maps[name].items()}
                if isinstance(out, Maps):
                    out.write(rows, parts)
                else:
                    out[rows] = parts["map"]
        self.maps = {}


def plan(outs: Mapping[str, Out], count: int, tile: int, leave: np.ndarray | None = None) -> list[Block]:
    """The blocks with anything left to do. A tile is done when every out is a store and has all its rows.

    `leave` is a mask of rows that are left alone: a tile of such rows only is not computed.
    """
    stores = [out for out in outs.values() if isinstance(out, Maps)]
    size = math.lcm(tile, *(store.shard for store in stores))
    if size > _MOST_ROWS or not stores:
        shard = max((store.shard for store in stores), default=8 * tile)
        size = math.ceil(tile / shard) * shard
    every = len(stores) == len(outs)
    done = np.logical_and.reduce([store.done for store in stores]) if every else np.zeros(count, bool)
    if leave is not None:
        done |= leave
    blocks = []
    for start in range(0, count, size):
        stop = min(start + size, count)
        tiles = [row for row in range(start, stop, tile) if not done[row : min(row + tile, stop)].all()]
        if tiles:
            blocks.append(Block(start, stop, tile, tiles))
    return blocks


class Turns:
    """Blocks for this process alone, one after another, and given back when they are written."""

    def __init__(self, stores: Sequence[Maps], claims: Sequence[Claims]):
        self._pairs = list(zip(stores, claims, strict=True))

    def of(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Those of `blocks` that nobody else works on now, each without what others have done meanwhile."""
        for block in blocks:
            if not self._take(block):
                continue
            if self._pairs:
                rows = slice(block.start, block.stop)
                done = np.logical_and.reduce([store.done_in(rows) for store, _ in self._pairs])
                block.tiles = [t for t in block.tiles if not done[t - block.start : block.rows(t).stop - block.start].all()]
            if block.tiles:
                yield block
            else:
                self.give_back(block)

    def wait(self, block: Block) -> None:
        """Until nobody else works on `block`."""
        for store, claims in self._pairs:
            claims.wait(_shards(store, block))

    def give_back(self, block: Block) -> None:
        for store, claims in self._pairs:
            claims.give_back(_shards(store, block))

    def _take(self, block: Block) -> bool:
        for number, (store, claims) in enumerate(self._pairs):
            if not claims.take(_shards(store, block)):
                for other, held in self._pairs[:number]:
                    held.give_back(_shards(other, block))
                return False
        return True


def _shards(store: Maps, block: Block) -> range:
    return range(block.start // store.shard, (block.stop - 1) // store.shard + 1)
