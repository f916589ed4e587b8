"""map_frames equals the loop, whatever the tile, the device, the out, and the number of kills."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rljax_viz.store import Episodes, create_episodes, create_maps, open_maps
from rljax_viz.sweeps import MapSummary, map_frames

N = 45
PARAMS = {"w": np.linspace(-1, 1, 6 * 5 * 2, dtype=np.float32).reshape(6, 5, 2), "b": np.float32(0.5)}


def saliency(params, obs):
    """[H W C], not linear in obs."""
    return jnp.tanh(params["w"] * obs / 100) * obs + params["b"]


def chosen(params, obs, action):
    return saliency(params, obs)[..., 0] * action


def noisy(key, params, obs):
    return saliency(params, obs) + jax.random.normal(key, obs.shape)


def both(params, obs):
    return {"full": saliency(params, obs), "small": saliency(params, obs).mean((1, 2))}


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (N, 6, 5, 2), dtype=np.uint8)


@pytest.fixture(scope="module")
def want(frames):
    return np.stack([saliency(PARAMS, frame) for frame in frames])


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def store(path, frames=N, shape=(6, 5, 2), **options):
    standard = {"attributes": {}, "dtype": "float32", "shard": 8}
    return create_maps(path, frames=frames, shape=shape, **{**standard, **options})


class Recording:
    """A lazy array that remembers which rows were read, and can fail or be slow."""

    def __init__(self, array, fail_at=None):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.rows, self.fail_at = [], fail_at

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        self.rows += range(len(self.array))[rows]
        if self.fail_at is not None and self.fail_at in self.rows:
            raise OSError("the disk is gone")
        return self.array[rows]


@pytest.mark.parametrize("tile", [1, 7, 32, 45, 500])
def test_equals_the_loop(frames, want, tile):
    found = map_frames(saliency, PARAMS, frames, None, tile=tile)
    assert isinstance(found, np.ndarray) and found.dtype == np.float32
    close(found, want)


def test_every_kind_of_frames_and_out(tmp_path, frames, want):
    out = np.full((N, 6, 5, 2), np.nan, np.float32)
    summary = map_frames(saliency, PARAMS, jnp.asarray(frames), out)
    assert isinstance(summary, MapSummary) and summary[:2] == (N, 0) and summary.not_finite == 0
    assert summary.seconds > 0 and summary.frames_per_second > 0 and summary.seconds > summary.compile_seconds
    close(out, want)
    options = {"stack": 2, "padding": "zeros", "attributes": {}, "columns": {"action": ((), "int32")}}
    with create_episodes(tmp_path / "e.zarr", frame_shape=(6, 5, 1), **options) as writer:
        writer.append(frames=frames[..., :1], stack_start=np.arange(N) % 9 == 0, action=np.arange(N))
    episodes = Episodes(tmp_path / "e.zarr")
    maps = store(tmp_path / "m.zarr", shape=(6, 5))
    map_frames(chosen, PARAMS, episodes.observations, maps, rest=(episodes.action,), tile=6)
    close(maps[:], np.stack([chosen(PARAMS, obs, k) for k, obs in enumerate(episodes.observations[:])]))


def test_rest_may_be_trees(frames):
    carry = (np.arange(N, dtype=np.float32), {"c": jnp.arange(3.0 * N).reshape(N, 3)})

    def explain(params, obs, carry, scale):
        return obs[..., 0] * carry[0] + carry[1]["c"].sum() * scale

    found = map_frames(explain, PARAMS, frames, None, rest=(carry, np.full(N, 2.0)), tile=8)
    close(found[7], frames[7, ..., 0] * np.float32(7) + 2 * np.arange(21, 24).sum())


@pytest.mark.parametrize("tile", [4, 32])
def test_the_key_of_a_frame_does_not_depend_on_the_tiling(frames, tile):
    key = jax.random.key(3)
    found = map_frames(noisy, PARAMS, frames, None, key=key, tile=tile)
    close(found, np.stack([noisy(jax.random.fold_in(key, k), PARAMS, frame) for k, frame in enumerate(frames)]))


def test_chosen_rows_keep_the_keys_of_their_numbers(frames):
    whole = map_frames(noisy, PARAMS, frames, None, key=jax.random.key(5))
    rows = np.array([1, 4, 5, 9])
    some = map_frames(noisy, PARAMS, frames[rows], None, key=jax.random.key(5), numbers=rows, tile=3)
    close(some, whole[rows])
    with pytest.raises(ValueError, match="names each of the 4 frames"):
        map_frames(noisy, PARAMS, frames[rows], None, key=jax.random.key(5), numbers=rows[:2])


@pytest.mark.parametrize("key", [None, 5])
def test_one_device_and_two_give_the_same(frames, key):
    assert jax.local_device_count() == 2
    explain, key = (saliency, None) if key is None else (noisy, jax.random.key(key))
    one = map_frames(explain, PARAMS, frames, None, key=key, tile=7, devices=jax.local_devices()[:1])
    two = map_frames(explain, PARAMS, frames, None, key=key, tile=7)
    close(one, two)


def test_one_shape_one_compile(frames):
    traces = []

    def explain(params, obs):
        traces.append(obs.shape)
        return obs.astype(jnp.float32)

    map_frames(explain, PARAMS, frames, None, tile=8)
    first = len(traces)  # once for the shapes, once for the program
    assert first <= 3
    map_frames(explain, PARAMS, frames, None, tile=8)
    assert len(traces) == first  # shapes and program are kept


def test_an_explain_that_cannot_be_hashed(frames, want):
    class Explain:
        __hash__ = None

        def __call__(self, params, obs):
            return saliency(params, obs)

    close(map_frames(Explain(), PARAMS, frames, None), want)


def test_dicts_of_maps(tmp_path, frames, want):
    outs = {"full": store(tmp_path / "a.zarr", shard=8), "small": store(tmp_path / "b.zarr", shape=(6,), shard=16)}
    map_frames(both, PARAMS, frames, outs, tile=8)
    close(outs["full"][:], want)
    close(outs["small"][:], want.mean((2, 3)))
    found = map_frames(both, PARAMS, frames, None)
    close(found["full"], want)
    mixed = {"full": np.zeros((N, 6, 5, 2), np.float32), "small": outs["small"]}
    assert map_frames(both, PARAMS, frames, mixed).skipped == 0  # an array does not say what is done
    close(mixed["full"], want)


def test_resumes_where_it_was(tmp_path, frames, want):
    maps = store(tmp_path / "m.zarr")
    map_frames(saliency, PARAMS, frames, store(tmp_path / "whole.zarr"), tile=4)
    maps[8:16] = open_maps(tmp_path / "whole.zarr")[8:16]
    maps[40:45] = open_maps(tmp_path / "whole.zarr")[40:45]
    maps[21] = want[21]  # a tile that is done in part is computed again as a whole
    lazy, calls = Recording(frames), []
    summary = map_frames(saliency, PARAMS, lazy, maps, tile=4, progress=lambda *args: calls.append(args))
    assert (summary.frames, summary.skipped) == (N, 13)
    assert sorted(lazy.rows) == [*range(8), *range(16, 40)]
    assert calls[-1] == (N, N) and calls[0] == (17, N) and len(calls) == 8
    np.testing.assert_array_equal(maps[:], open_maps(tmp_path / "whole.zarr")[:])
    assert maps.done.all()
    again = map_frames(saliency, PARAMS, Recording(frames, fail_at=0), maps, tile=4)
    assert again.skipped == N and again.frames_per_second == 0


def test_tiles_and_shards_need_not_fit(tmp_path, frames, want):
    maps = store(tmp_path / "m.zarr", shard=11)
    map_frames(saliency, PARAMS, frames, maps, tile=6)
    close(maps[:], want)
    wide = store(tmp_path / "w.zarr", shard=4093)  # no common multiple worth holding in memory
    map_frames(saliency, PARAMS, frames, wide, tile=10)
    close(wide[:], want)


def test_nothing_to_do(tmp_path, frames):
    assert map_frames(saliency, PARAMS, frames[:0], None).shape == (0, 6, 5, 2)
    assert map_frames(saliency, PARAMS, frames[:0], store(tmp_path / "m.zarr", frames=0)).frames == 0


def test_halves_and_scalars(frames, want):
    found = map_frames(lambda p, x: saliency(p, x).astype(jnp.bfloat16), PARAMS, frames, None)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, want, rtol=1e-2, atol=1e-2)
    assert map_frames(lambda p, x: saliency(p, x).sum(), PARAMS, frames, None).shape == (N,)


def test_what_is_not_finite_is_kept_and_counted(frames):
    bad = frames.astype(np.float32)
    bad[3, 0, 0, 0], bad[N - 1, 1, 1, 1] = np.nan, np.inf
    with pytest.warns(RuntimeWarning, match=r"of 45 maps, these hold NaN .* 2 of saliency \(first: frame 3\)"):
        summary = map_frames(saliency, PARAMS, bad, out := np.zeros(bad.shape, np.float32), tile=8)
    assert summary.not_finite == 2 and np.isnan(out[3, 0, 0, 0]) and np.isfinite(out[4]).all()
    with pytest.warns(RuntimeWarning, match=r"1 of full .* 1 of small"):
        map_frames(both, PARAMS, bad[:8], None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        map_frames(saliency, PARAMS, bad[N - 4 : N - 1], None, tile=8)


def test_errors_of_the_reader_the_writer_and_the_caller_come_through(tmp_path, frames, monkeypatch):
    threads = threading.active_count()
    with pytest.raises(OSError, match="the disk is gone"):
        map_frames(saliency, PARAMS, Recording(frames, fail_at=30), store(tmp_path / "a.zarr"), tile=8)
    maps = store(tmp_path / "b.zarr")

    def full(self, rows, values):
        raise OSError("disk full")

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_frames(saliency, PARAMS, frames, maps, tile=8, progress=stop)
    assert map_frames(saliency, PARAMS, frames, maps, tile=8).skipped in (8, 16)  # what was fetched is on disk
    monkeypatch.setattr(type(maps), "write", full)
    with pytest.raises(OSError, match="disk full"):
        map_frames(saliency, PARAMS, frames, store(tmp_path / "c.zarr"), tile=8)
    assert threading.active_count() == threads


def test_a_key_that_does_not_fit_is_named(frames):
    with pytest.raises(ValueError, match=r"random, explain\(key, params, obs, \*rest\): pass key=jax.random.key"):
        map_frames(noisy, PARAMS, frames, None)
    with pytest.raises(ValueError, match=r"deterministic, .* leave key out"):
        map_frames(saliency, PARAMS, frames, None, key=jax.random.key(0))
    with pytest.raises(TypeError, match="one typed key"):
        map_frames(noisy, PARAMS, frames, None, key=jax.random.PRNGKey(0))
    with pytest.raises(TypeError, match="one typed key"):
        map_frames(noisy, PARAMS, frames, None, key=7)


def test_the_fault_of_explain_itself_is_not_hidden(frames):
    def explain(params, obs):
        raise KeyError("conv9")

    with pytest.raises(KeyError, match="conv9"):
        map_frames(explain, PARAMS, frames, None)
    with pytest.raises(TypeError, match="one array or a dict of arrays"):
        map_frames(lambda params, obs: (obs, obs), PARAMS, frames, None)


@pytest.mark.parametrize(
    ("out", "options", "error", "message"),
    [
        (None, {"rest": (np.zeros(N - 1),)}, ValueError, r"rest\[0\] has shape \(44,\); .* each of the 45 frames"),
        (None, {"rest": (3.0,)}, ValueError, r"rest\[0\] has shape None"),
        (None, {"rest": np.zeros(N)}, TypeError, "rest is a tuple"),
        (None, {"tile": 0}, ValueError, "at least 1; got 0"),
        (np.zeros((N - 1, 6, 5, 2)), {}, ValueError, r"shape \(44, 6, 5, 2\), .* gives \(45, 6, 5, 2\): create_maps"),
        (np.zeros((N, 6, 5)), {}, ValueError, r"np.empty\(\(45, 6, 5, 2\), np.float32\)"),
        (np.zeros((N, 6, 5, 2), np.uint8), {}, ValueError, "out is uint8 and cannot hold the float32"),
        ([0] * N, {}, TypeError, "store.Maps, a numpy array or None, not list"),
        ({"a": np.zeros(N)}, {}, ValueError, r"one map per frame: .*; out is a dict of \['a'\]"),
    ],
)
def test_refusals(frames, out, options, error, message):
    explain = chosen if "rest" in options else saliency
    with pytest.raises(error, match=message):
        map_frames(explain, PARAMS, frames, out, **options)


def test_refusals_of_dicts(frames):
    with pytest.raises(ValueError, match=r"a dict of maps: \['full', 'small'\]; out is one store or array"):
        map_frames(both, PARAMS, frames, np.zeros((N, 6, 5, 2), np.float32))
    with pytest.raises(ValueError, match=r"out is a dict of \['full'\]"):
        map_frames(both, PARAMS, frames, {"full": np.zeros((N, 6, 5, 2), np.float32)})


SWEEP = """
import sys, time
sys.path.insert(0, sys.argv[2])
import jax, numpy as np
from test_map_frames import N, PARAMS, Recording, map_frames, noisy, store
frames = np.random.default_rng(0).integers(0, 256, (400, 6, 5, 2), dtype=np.uint8)
class Slow(Recording):
    def __getitem__(self, rows):
        time.sleep(float(sys.argv[3]))
        return super().__getitem__(rows)
lazy = Slow(frames)
out = store(sys.argv[1], frames=400, dtype="float16")
summary = map_frames(noisy, PARAMS, lazy, out, key=jax.random.key(1), tile=4)
print(summary.skipped, min(lazy.rows), len(lazy.rows))
"""


@pytest.mark.slow
def test_killed_and_run_again_it_is_the_same_bit_for_bit(tmp_path):
    def sweep(path, pause):
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-c", SWEEP, str(path), os.path.dirname(__file__), str(pause)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    whole = sweep(tmp_path / "whole.zarr", 0)
    assert whole.communicate()[0].split() == ["0", "0", "400"] and whole.returncode == 0
    path, done = tmp_path / "killed.zarr", np.zeros(400, bool)
    for wanted in (24, 120):
        process = sweep(path, 0.02)
        deadline = time.monotonic() + 120
        while not (path / "zarr.json").exists() or open_maps(path).done.sum() < wanted:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        maps, before = open_maps(path), done
        done = maps.done
        assert done[before].all() and wanted <= done.sum() < 400
        np.testing.assert_array_equal(maps[done], open_maps(tmp_path / "whole.zarr")[done])
    last = sweep(path, 0)
    skipped, first_read, read = map(int, last.communicate()[0].split())
    assert last.returncode == 0 and skipped == done.sum() and read == 400 - skipped
    assert first_read == np.flatnonzero(~done)[0]
    assert open_maps(path).done.all()
    np.testing.assert_array_equal(open_maps(path)[:], open_maps(tmp_path / "whole.zarr")[:])
