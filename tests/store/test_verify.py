"""Planted damage is found, named and counted, and stays with the rows that it hit."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from rljax_viz.store import DamagedStore, Episodes, create_episodes, create_maps, open_maps, verify

ROWS, STEPS = 200, 10_000


def games(path):
    rng, kind = np.random.default_rng(0), {"action": ((), "int32")}
    with create_episodes(path, frame_shape=(8, 8, 1), stack=2, padding="repeat", attributes={}, columns=kind) as writer:
        for at in range(0, STEPS, 50):
            starts = np.arange(at, at + 50) % 100 == 0
            frames = rng.integers(0, 255, (50, 8, 8, 1), np.uint8) * np.uint8(at > 0)  # black ones are frames as well
            writer.append(frames=frames, stack_start=starts, action=np.arange(50))
    return Episodes(path)


def maps(path, rows=ROWS, **options):
    store = create_maps(path, frames=ROWS, shape=(4, 4), attributes={}, shard=64, **options)
    store[:rows] = np.random.default_rng(1).normal(size=(rows, 4, 4))
    return store


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "gone": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "flipped": flip,
    "emptied": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_frames_are_named_and_the_others_read(tmp_path, damage):
    store = games(tmp_path / "e.zarr")
    assert verify(tmp_path / "e.zarr").faults == [] and not store.frames[:50].any()
    size = store.frames.shard
    assert size * 2 < STEPS
    (path,) = [p for p in (tmp_path / "e.zarr/frames").glob("c.1.*")]
    DAMAGE[damage](path)
    report = verify(tmp_path / "e.zarr")
    (fault,) = report.faults
    assert (fault.array, fault.start, fault.stop) == ("frames", size, 2 * size)
    assert report.damaged.sum() == size and (report.rows, report.written) == (STEPS, STEPS)
    assert "c.1.0.0.0" in str(fault) and f"frames, rows {size} to {2 * size - 1}: " in str(fault)
    fresh = Episodes(tmp_path / "e.zarr")
    np.testing.assert_array_equal(fresh.action[:], np.arange(STEPS) % 50)
    assert fresh.observations[2 * size + 1 :].shape[0] == STEPS - 2 * size - 1
    with pytest.raises(DamagedStore, match=rf"e.zarr/frames: rows {size - 1} to {size} cannot be read: .*c.1.0.0.0"):
        fresh.observations[size : size + 1]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("array", ["map", "scale", "done"])
def test_damaged_maps_are_named_and_can_be_computed_again(tmp_path, damage, array):
    if (damage, array) == ("gone", "done"):
        pytest.skip("a marker that is gone is a map that is not done")
    before = maps(tmp_path / "m.zarr", rows=180)[:]
    (path,) = (tmp_path / f"m.zarr/{array}").glob("c.1*")
    DAMAGE[damage](path)
    report = verify(tmp_path / "m.zarr")
    assert {(f.array, f.start, f.stop) for f in report.faults} == {(array, 64, 128)}, report.faults
    store = open_maps(tmp_path / "m.zarr")
    if array == "done":
        assert store.done.sum() == 180 - 64
    else:
        with pytest.raises(DamagedStore, match=f"m.zarr/{array}: rows 70 to 79 cannot be read"):
            store[70:80]
    np.testing.assert_array_equal(store[128:180], before[128:180])
    store.discard(1)
    assert open_maps(tmp_path / "m.zarr").done.sum() == 180 - 64
    store[64:128] = before[64:128]
    assert verify(tmp_path / "m.zarr").faults == []
    np.testing.assert_array_equal(open_maps(tmp_path / "m.zarr")[:], before)


def test_maps_that_are_not_finite_are_counted(tmp_path):
    store = maps(tmp_path / "m.zarr", rows=100)
    store[3] = np.full((4, 4), np.nan)
    store[70] = np.full((4, 4), np.inf)
    seen = []
    report = verify(tmp_path / "m.zarr", lambda *at: seen.append(at))
    assert (report.rows, report.written, report.faults, report.not_finite) == (ROWS, 100, [], 2)
    assert seen[-1] == (ROWS, ROWS)


def test_bytes_are_exact_to_half_a_step(tmp_path):
    rng = np.random.default_rng(2)
    want = (rng.normal(size=(6, 5, 7)) * 10.0 ** rng.integers(-9, 9, (6, 1, 1))).astype(np.float32)
    want[0] = np.abs(want[0])
    want[1] = -np.abs(want[1])
    want[2] = 0
    want[3][rng.random((5, 7)) < 0.7] = 0
    want[4, 0, 0] = np.nan
    store = create_maps(tmp_path / "m.zarr", frames=7, shape=(5, 7), attributes={}, dtype="uint8")
    store[:6] = want
    found = open_maps(tmp_path / "m.zarr")[:]
    assert np.isnan(found[4]).all() and np.isnan(found[6]).all()
    assert (found[:6][want == 0] == 0).all()
    for one, other in zip(want[[0, 1, 2, 3, 5]], found[[0, 1, 2, 3, 5]], strict=True):
        span = max(one.max(), 0) - min(one.min(), 0)
        assert np.abs(one - other).max() <= span / 510 * 1.01 + 1e-30


def test_a_full_disk_is_named_and_what_was_finished_stays(tmp_path):
    code = f"""
        import resource, signal, numpy as np
        from rljax_viz.store import create_maps
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        options = {{"attributes": {{}}, "shard": 64, "dtype": "float32"}}
        maps = create_maps({str(tmp_path / "m.zarr")!r}, frames=128, shape=(64, 64), **options)
        noise = np.random.default_rng(0).normal(size=(64, 64, 64))
        maps[:64] = noise
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            maps[64:] = noise
        except OSError as error:
            print(error)
    """

    run = [sys.executable, "-c", textwrap.dedent(code)]
    options = {"capture_output": True, "text": True, "env": {**os.environ, "JAX_PLATFORMS": "cpu"}}
    done = subprocess.run(run, **options)
    assert done.returncode == 0, done.stderr
    assert "maps 64 to 127 could not be written" in done.stdout and "make room, and run the same command again" in done.stdout
    assert open_maps(tmp_path / "m.zarr").done.sum() == 64
    assert verify(tmp_path / "m.zarr").faults == []


def test_columns_that_are_shorter_are_no_end(tmp_path):
    games(tmp_path / "episodes.zarr")
    about = tmp_path / "episodes.zarr/action/zarr.json"
    said = about.read_text()
    about.write_text(said.replace(str(STEPS), "900"))
    with pytest.raises(DamagedStore, match=r"finished with 10000 rows, but some columns have fewer \(action 900\)"):
        Episodes(tmp_path / "episodes.zarr")
    (fault,) = verify(tmp_path / "episodes.zarr").faults
    assert "action 900" in str(fault)
    about.write_text(said)
    assert len(Episodes(tmp_path / "episodes.zarr")) == STEPS and not verify(tmp_path / "episodes.zarr").faults


def test_the_first_map_that_is_not_finite_is_named(tmp_path):
    store = maps(tmp_path / "m.zarr")
    bad = np.ones((2, 4, 4), np.float32)
    bad[1, 0, 0] = np.nan
    store[70:72] = bad
    report = verify(tmp_path / "m.zarr")
    assert (report.not_finite, report.first_not_finite) == (1, 71)


LOST = {
    "frames": (lambda path: shutil.rmtree(path / "frames"), "has lost its column frames: put it back from a copy, or"),
    "stack_start": (lambda path: shutil.rmtree(path / "stack_start"), "has lost its column stack_start: put it back"),
    "group": (lambda path: (path / "zarr.json").unlink(), "no episodes store at .*: there is no zarr.json in it; put it"),
    "cut": (lambda path: os.truncate(path / "frames/zarr.json", 200), r"frames/zarr.json cannot be read \(.*\): put it back"),
    "group cut": (lambda path: os.truncate(path / "zarr.json", 50), r"e.zarr/zarr.json cannot be read \(.*: put it back"),
}


@pytest.mark.parametrize("lost", LOST)
def test_a_recording_that_has_lost_a_part_of_itself(tmp_path, lost):
    games(tmp_path / "e.zarr")
    damage, message = LOST[lost]
    damage(tmp_path / "e.zarr")
    (fault,) = verify(tmp_path / "e.zarr").faults
    assert re.search(message, str(fault)) and "play RUN --record --overwrite" in str(fault)
    with pytest.raises((DamagedStore, FileNotFoundError), match=message):
        Episodes(tmp_path / "e.zarr")
    options = {"frame_shape": (8, 8, 1), "stack": 2, "padding": "repeat", "attributes": {}, "columns": {}}
    if "group" in lost:  # nobody knows whether its rows are all there
        with pytest.raises(FileExistsError, match=r"overwrite=True \(on the command line --overwrite\)"):
            create_episodes(tmp_path / "e.zarr", **options)
    create_episodes(tmp_path / "e.zarr", overwrite=True, **options).close()
    assert verify(tmp_path / "e.zarr").faults == []


def test_a_lost_column_and_lost_maps(tmp_path):
    games(tmp_path / "e.zarr")
    shutil.rmtree(tmp_path / "e.zarr/action")
    (fault,) = verify(tmp_path / "e.zarr").faults
    assert "action: the column was recorded, and is missing: put it back" in str(fault)
    maps(tmp_path / "m.zarr")
    (tmp_path / "m.zarr/scale/zarr.json").unlink()
    (fault,) = verify(tmp_path / "m.zarr").faults
    assert "m.zarr/scale/zarr.json is missing: put it back" in str(fault)
    with pytest.raises(FileNotFoundError, match="no episodes store at"):
        verify(tmp_path / "nothing.zarr")


def test_what_should_be_known_of_a_recording(tmp_path):
    assert len(games(tmp_path / "a.zarr")) and "no attribute `preset`" in verify(tmp_path / "a.zarr").notes[0]
    options = {"frame_shape": (8, 8, 1), "stack": 2, "padding": "repeat", "columns": {}}
    writer = create_episodes(tmp_path / "b.zarr", attributes={"preset": {}}, **options)
    (note,) = verify(tmp_path / "b.zarr").notes
    assert "not finished" in note
    writer.close()
    assert verify(tmp_path / "b.zarr").notes == ()
