"""The writer: whole shards, the last length published last, refusals, a kill in the middle."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rljax_viz.store import Episodes, create_episodes, create_maps, open_maps

COLUMNS = {"action": ((), "int32"), "reward": ((), "float32"), "episode": ((), "int64")}


def make(path, columns=COLUMNS, **options):
    standard = {"frame_shape": (5, 6, 1), "stack": 4, "padding": "repeat", "attributes": {"preset": {"game": "Pong"}}}
    return create_episodes(path, **{**standard, **options}, columns=columns)


def block(first, count, episode_length=7):
    rows = np.arange(first, first + count)
    return {
        "frames": np.broadcast_to(rows[:, None, None, None] % 251, (count, 5, 6, 1)).astype(np.uint8),
        "stack_start": rows % episode_length == 0,
        "action": rows.astype(np.int64),  # any integers that fit
        "reward": (rows % 3).astype(np.float64),
        "episode": rows // episode_length,
    }


def expect(store, count):
    want = block(0, count)
    assert len(store) == count
    for name, values in want.items():
        np.testing.assert_array_equal(store[name][:], values)


@pytest.mark.parametrize("sizes", [[1] * 30, [70, 1, 200, 29], [300], []])
def test_blocks_of_any_size(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr("rljax_viz.store.record._BLOCK_BYTES", 1)  # the smallest shard: 64 rows
    with make(tmp_path / "e.zarr") as writer:
        assert writer.shard == 64
        for size in sizes:
            writer.append(**block(len(writer), size))
    store = Episodes(tmp_path / "e.zarr")
    expect(store, sum(sizes))
    assert store.complete and store.attributes == {"preset": {"game": "Pong"}}
    assert store.action.dtype == np.int32 and store.reward.dtype == np.float32


def test_only_whole_shards_are_seen_before_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("rljax_viz.store.record._BLOCK_BYTES", 1)
    writer = make(tmp_path / "e.zarr")
    assert len(Episodes(tmp_path / "e.zarr")) == 0
    writer.append(**block(0, 150))
    store = Episodes(tmp_path / "e.zarr")
    expect(store, 128)
    assert not store.complete
    writer.close()
    writer.close()
    expect(Episodes(tmp_path / "e.zarr"), 150)
    with pytest.raises(ValueError, match="is closed"):
        writer.append(**block(150, 1))


def test_the_shortest_column_counts(tmp_path, monkeypatch):
    """A kill between the columns' new lengths: what every column has is read."""
    monkeypatch.setattr("rljax_viz.store.record._BLOCK_BYTES", 1)
    writer = make(tmp_path / "e.zarr")
    writer.append(**block(0, 64))
    before = (tmp_path / "e.zarr/reward/zarr.json").read_text()
    writer.append(**block(64, 64))
    (tmp_path / "e.zarr/reward/zarr.json").write_text(before)
    expect(Episodes(tmp_path / "e.zarr"), 64)


def test_an_exception_keeps_the_rows_but_not_complete(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), make(tmp_path / "e.zarr") as writer:
        writer.append(**block(0, 10))
        raise RuntimeError("stop")
    store = Episodes(tmp_path / "e.zarr")
    expect(store, 10)
    assert not store.complete
    make(tmp_path / "e.zarr").close()  # broken off: replaced without asking
    assert len(Episodes(tmp_path / "e.zarr")) == 0


def test_finished_episodes_are_not_overwritten_by_accident(tmp_path):
    make(tmp_path / "e.zarr").close()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        make(tmp_path / "e.zarr")
    with make(tmp_path / "e.zarr", overwrite=True) as writer:
        writer.append(**block(0, 3))
    expect(Episodes(tmp_path / "e.zarr"), 3)


def test_a_call_that_fails_deletes_nothing(tmp_path):
    with make(tmp_path / "e.zarr") as writer:
        writer.append(**block(0, 3))
    with pytest.raises(ValueError, match="cannot be stored"):
        make(tmp_path / "e.zarr", overwrite=True, columns={"text": ((), "str")})
    with pytest.raises(TypeError, match="must be JSON"):
        make(tmp_path / "e.zarr", overwrite=True, attributes={"key": object()})
    expect(Episodes(tmp_path / "e.zarr"), 3)
    maps = create_maps(tmp_path / "m.zarr", frames=3, shape=(2,), attributes={})
    with pytest.raises(ValueError, match="holds maps, not episodes"):
        make(maps.path, overwrite=True)
    assert len(open_maps(maps.path)) == 3


def test_a_folder_with_other_files_is_never_deleted(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(ValueError, match=r"holds other files \(thesis.tex\)"):
        make(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_shape": (5, 6)}, r"frame_shape is \(H, W, c\)"),
        ({"padding": "mirror"}, "padding 'repeat' or 'zeros'"),
        ({"stack": 0}, "stack >= 1"),
        ({"columns": {"frames": ((), "int32")}}, "store's own"),
        ({"columns": {"observations": ((), "int32")}}, "store's own"),
        ({"columns": {"text": ((), "str")}}, "cannot be stored"),
        ({"attributes": {"rljax_viz": 1}}, "store's own"),
    ],
)
def test_refusals_at_creation(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "e.zarr", **change)
    assert not (tmp_path / "e.zarr" / "zarr.json").exists()


def test_attributes_must_be_json(tmp_path):
    with pytest.raises(TypeError, match=r"dataclasses.asdict"):
        make(tmp_path / "e.zarr", attributes={"preset": object()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": None}, r"missing \['reward'\], unknown \[\]"),
        ({"score": np.zeros(3)}, r"unknown \['score'\]"),
        ({"reward": np.zeros(2)}, "same number of rows"),
        ({"frames": np.zeros((3, 5, 6), np.uint8)}, r"'frames' expects blocks of shape \[n 5 6 1\], got \[3, 5, 6\]"),
        ({"frames": np.zeros((3, 5, 6, 1), np.float32)}, "float32 values do not fit"),
        ({"action": np.array([0, 1, 2**40])}, "'action' holds int32; int64 values do not fit"),
        ({"stack_start": np.array([False, False, False])}, "first row must have stack_start=True"),
        ({"episode": np.array([0, 1, 0])}, "row 1: episode changes from 0 to 1 without stack_start"),
    ],
)
def test_refusals_of_append(tmp_path, change, message):
    rows = {name: values for name, values in {**block(0, 3), **change}.items() if values is not None}
    with make(tmp_path / "e.zarr") as writer, pytest.raises(ValueError, match=message):
        writer.append(**rows)


def test_interleaving_is_seen_across_blocks(tmp_path):
    with make(tmp_path / "e.zarr") as writer:
        writer.append(**block(0, 3))
        rows = block(3, 1)
        with pytest.raises(ValueError, match="row 3: episode changes from 0 to 5"):
            writer.append(**{**rows, "episode": np.array([5])})


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
import rljax_viz.store.record as record
from test_record import block, make
record._BLOCK_BYTES = 1
writer = make(sys.argv[1])
while True:
    writer.append(**block(len(writer), 50))
"""


@pytest.mark.slow
def test_a_kill_leaves_whole_rows(tmp_path):
    for wanted in (64, 64 * 5, 64 * 11):
        path = tmp_path / f"{wanted}.zarr"
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path), os.path.dirname(__file__)])
        deadline = time.monotonic() + 60
        while not (path / "zarr.json").exists() or len(Episodes(path)) < wanted:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        store = Episodes(path)
        assert len(store) >= wanted and len(store) % 64 == 0 and not store.complete
        expect(store, len(store))
        make(path).close()  # what is broken off is replaced
        assert Episodes(path).complete and os.listdir(tmp_path) == [path.name]
        shutil.rmtree(path)
