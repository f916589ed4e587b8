"""Several processes on one store, parts of a job, damaged frames, and tiles that do not fit."""

import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.store import Episodes, claims_on, create_episodes, create_maps, open_maps
from rljax_viz.sweeps import UnreadableFrames, map_frames

N, SHARD = 160, 8


def saliency(params, obs):
    return jnp.tanh(obs / 100).mean(-1) * params


FRAMES = np.random.default_rng(0).integers(0, 256, (N, 6, 5, 2), dtype=np.uint8)

# A process that explains FRAMES slowly and prints which rows it read: python -c WORKER store folder-of-tests pause
WORKER = """
import sys, time
sys.path.insert(0, sys.argv[2])
import numpy as np
from rljax_viz.store import open_maps
from rljax_viz.sweeps import map_frames
from tests.sweeps.test_sharing import FRAMES, saliency

class Slow:
    shape, dtype = FRAMES.shape, FRAMES.dtype
    rows = []
    def __len__(self):
        return len(FRAMES)
    def __getitem__(self, rows):
        time.sleep(float(sys.argv[3]))
        self.rows += range(len(FRAMES))[rows]
        return FRAMES[rows]

frames = Slow()
print("ready", flush=True)
sys.stdin.readline()
map_frames(saliency, np.float32(1), frames, open_maps(sys.argv[1]), tile=8)
print(*frames.rows)
"""


def new_store(path):
    return create_maps(path, frames=N, shape=(6, 5), attributes={}, shard=SHARD)


def worker(path, pause):
    command = [sys.executable, "-c", WORKER, str(path), os.getcwd(), str(pause)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment, **pipes)
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_processes_share_the_work(tmp_path):
    new_store(tmp_path / "m.zarr")
    both = [worker(tmp_path / "m.zarr", 0.03) for _ in range(2)]
    for process in both:
        go(process)
    rows = [list(map(int, process.communicate()[0].split())) for process in both]
    assert sorted(rows[0] + rows[1]) == [*range(N)]  # every frame once
    assert all(len(some) >= 3 * SHARD for some in rows)  # and both had their part
    np.testing.assert_array_equal(open_maps(tmp_path / "m.zarr")[:], alone(tmp_path)[:])


def test_what_a_killed_process_had_taken_is_done_by_another(tmp_path):
    new_store(tmp_path / "m.zarr")
    dying, other = worker(tmp_path / "m.zarr", 1.0), worker(tmp_path / "m.zarr", 0.0)
    go(dying)
    deadline = time.monotonic() + 60
    with claims_on([tmp_path / "m.zarr"]) as (ours,):
        while ours.take(range(1)):  # until the dying one holds the first shard: for a second at least
            ours.give_back(range(1))
            assert time.monotonic() < deadline
            time.sleep(0.01)
    go(other)
    while open_maps(tmp_path / "m.zarr").done.sum() < N - 3 * SHARD:  # two are claimed, perhaps one is written
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert other.poll() is None  # it waits for what the first one holds
    dying.send_signal(signal.SIGKILL)
    dying.communicate()
    rows = other.communicate()[0].split()
    assert other.returncode == 0 and len(set(rows)) == len(rows) >= N - SHARD
    assert open_maps(tmp_path / "m.zarr").done.all()
    np.testing.assert_array_equal(open_maps(tmp_path / "m.zarr")[:], alone(tmp_path)[:])


def alone(tmp_path):
    maps = new_store(tmp_path / "alone.zarr")
    map_frames(saliency, np.float32(1), FRAMES, maps, tile=8)
    return maps


def test_parts_make_the_whole(tmp_path):
    maps = new_store(tmp_path / "m.zarr")
    for part in ((0, 50), (50, 120), (120, N)):
        assert map_frames(saliency, np.float32(1), FRAMES, maps, tile=8, span=part).frames == part[1] - part[0]
    np.testing.assert_array_equal(maps[:], alone(tmp_path)[:])
    with pytest.raises(ValueError, match=r"span is \(first, last \+ 1\) of the 160 frames"):
        map_frames(saliency, np.float32(1), FRAMES, maps, span=(5, 161))
    empty = map_frames(saliency, np.float32(1), FRAMES, new_store(tmp_path / "e.zarr"), span=(7, 7))
    assert (empty.frames, empty.skipped) == (0, 0)


@pytest.mark.parametrize("kind", ["store", "arrays"])
def test_damaged_frames_are_counted_and_named_and_all_others_explained(tmp_path, kind):
    steps = 10_000
    frames = np.random.default_rng(1).integers(0, 256, (steps, 6, 5, 1), dtype=np.uint8)
    with create_episodes(
        tmp_path / "e.zarr", frame_shape=(6, 5, 1), stack=2, padding="zeros", attributes={}, columns={}
    ) as w:
        w.append(frames=frames, stack_start=np.arange(steps) == 0)
        size = w.shard
    (file,) = (tmp_path / "e.zarr/frames").glob("c.1.*")
    kept = file.read_bytes()
    file.write_bytes(kept[: len(kept) // 2])
    observations = Episodes(tmp_path / "e.zarr").observations
    maps = create_maps(tmp_path / "m.zarr", frames=steps, shape=(6, 5), attributes={}, shard=512)
    out = maps if kind == "store" else np.full((steps, 6, 5), np.nan, np.float32)
    with pytest.raises(UnreadableFrames) as caught:
        map_frames(saliency, np.float32(1), observations, out, tile=64)
    after = -(-(2 * size + 1) // 64) * 64  # the first stack after the gap reaches back into it
    assert f"{after - size} of {steps} frames could not be read and have no map (rows {size} to {after - 1})" in str(
        caught.value
    )
    assert "e.zarr/frames: rows" in str(caught.value) and "c.1.0.0.0" in str(caught.value)
    if kind == "store":
        good = np.ones(steps, bool)
        good[size:after] = False
        np.testing.assert_array_equal(maps.done, good)
        file.write_bytes(kept)
        mended = Episodes(tmp_path / "e.zarr").observations
        assert map_frames(saliency, np.float32(1), mended, maps, tile=64).skipped == good.sum()
        whole = create_maps(tmp_path / "w.zarr", frames=steps, shape=(6, 5), attributes={}, shard=512)
        map_frames(saliency, np.float32(1), mended, whole, tile=64)
        np.testing.assert_array_equal(maps[:], whole[:])


@pytest.mark.parametrize("kind", ["store", "array", "none"])
def test_a_tile_that_does_not_fit_is_halved(tmp_path, kind, monkeypatch):
    module = sys.modules["rljax_viz.sweeps.map_frames"]
    launch, sizes = module._Device.launch, []

    def small(self, block, *args):
        sizes.append(block.tile)
        if block.tile > 10 or (len(sizes) == 9 and block.tile == 10):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99999999 bytes.")
        return launch(self, block, *args)

    monkeypatch.setattr(module._Device, "launch", small)
    out = {"store": new_store(tmp_path / "m.zarr"), "array": np.zeros((N, 6, 5), np.float32), "none": None}[kind]
    with pytest.warns(RuntimeWarning, match="do not fit into the memory: going on with"):
        found = map_frames(saliency, np.float32(1), FRAMES, out, tile=80)
    found = found if kind == "none" else np.asarray(out)
    assert dict.fromkeys(sizes) == dict.fromkeys((80, 40, 20, 10, 6))
    np.testing.assert_allclose(found, alone(tmp_path)[:], rtol=2e-3, atol=1e-6)


def test_another_fault_is_not_taken_for_it(monkeypatch):
    def wrong(self, *args):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(sys.modules["rljax_viz.sweeps.map_frames"]._Device, "launch", wrong)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        map_frames(saliency, np.float32(1), FRAMES, None)
