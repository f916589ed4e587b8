"""Blocks: whole shards, whole tiles, and nothing that is done."""

import numpy as np
import pytest

from rljax_viz.store import create_maps
from rljax_viz.sweeps.blocks import plan


def store(path, shard, done=()):
    maps = create_maps(path, frames=100, shape=(2,), attributes={}, shard=shard)
    for rows in done:
        maps[rows] = np.zeros((rows.stop - rows.start, 2))
    return maps


SIZES = [(8, 4, 8), (8, 16, 16), (6, 4, 12), (4096, 3, 4096), (1, 100, 100)]


@pytest.mark.parametrize(("shard", "tile", "size"), SIZES)
def test_blocks_are_whole_shards_and_whole_tiles(tmp_path, shard, tile, size):
    blocks = plan({"": store(tmp_path / "m.zarr", shard)}, 100, tile)
    assert [block.start for block in blocks] == [*range(0, 100, size)] and blocks[-1].stop == 100
    rows = [row for block in blocks for first in block.tiles for row in range(100)[block.rows(first)]]
    assert rows == [*range(100)]


def test_only_what_every_store_has_is_done(tmp_path):
    outs = {
        "a": store(tmp_path / "a.zarr", 8, [slice(0, 24), slice(32, 100)]),
        "b": store(tmp_path / "b.zarr", 8, [slice(0, 16), slice(28, 36), slice(40, 100)]),
    }
    blocks = plan(outs, 100, 4)
    assert [(block.start, block.tiles) for block in blocks] == [(16, [16, 20]), (24, [24, 28]), (32, [36])]
    assert blocks[2].span() == slice(36, 40)
    assert plan({**outs, "c": np.zeros((100, 2))}, 100, 4)[0].tiles == [0, 4]


def test_writes_are_few_and_leave_what_is_done_alone():
    (block,) = plan({"": np.zeros(12)}, 11, 2)
    block.tiles = [0, 4, 6, 10]
    block.maps = {"": {"map": np.arange(11.0)}}
    written = []

    class Out:
        def __setitem__(self, rows, values):
            written.append((rows, list(values)))

    block.write({"": Out()})
    assert written == [(slice(0, 2), [0, 1]), (slice(4, 8), [4, 5, 6, 7]), (slice(10, 11), [10])]
    assert block.maps == {}  # the memory is given back
