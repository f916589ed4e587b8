"""The reader: columns, stacks, episodes, and other programs that read the same files."""

import gc
import tracemalloc

import numpy as np
import pytest
import xarray
import zarr

from rljax_viz.store import Episode, Episodes, Observations, create_episodes

LENGTHS = (7, 1, 12, 3)
STARTS = np.cumsum((0, *LENGTHS[:-1]))
TOTAL = sum(LENGTHS)


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(1, 256, (TOTAL, 4, 5, 2), dtype=np.uint8)


def write(path, frames, padding="repeat", stack=4, columns=None, **values):
    start = np.isin(np.arange(len(frames)), STARTS)
    more = {"preset": "dqn", "n": [1, 2]}
    options = {"stack": stack, "padding": padding, "attributes": more, "columns": columns or {}}
    with create_episodes(path, frame_shape=frames.shape[1:], **options) as writer:
        writer.append(frames=frames, stack_start=start, **values)
    return Episodes(path)


def stacks(frames, stack, padding):
    """The ten-line reference: a queue, refilled at every start."""
    seen, out = [], []
    for row, frame in enumerate(frames):
        if row in STARTS:
            seen = [frame if padding == "repeat" else np.zeros_like(frame)] * stack
        seen = [*seen[1:], frame]
        out.append(np.concatenate(seen, axis=-1))
    return np.stack(out)


@pytest.mark.parametrize("padding", ["repeat", "zeros"])
@pytest.mark.parametrize("stack", [1, 2, 4])
def test_stacks_against_a_queue(tmp_path, frames, stack, padding):
    store = write(tmp_path / "e.zarr", frames, padding, stack)
    obs, want = store.observations, stacks(frames, stack, padding)
    assert isinstance(obs, Observations)
    assert (obs.shape, obs.dtype, len(obs), obs.ndim) == (want.shape, np.uint8, TOTAL, 4)
    np.testing.assert_array_equal(obs[0][..., -2:], frames[0])  # the newest is last
    np.testing.assert_array_equal(np.asarray(obs), want)
    for start in range(TOTAL):
        np.testing.assert_array_equal(obs[start], want[start])
        np.testing.assert_array_equal(obs[start : start + 5], want[start : start + 5])
    mask = want[:, 0, 0, -1] > 99
    for index in (-1, slice(None, None, -3), [5, 0, 8, 8], np.array([[20, 1], [-2, 7]]), mask, [], slice(9, 2)):
        np.testing.assert_array_equal(obs[index], want[index])
    np.testing.assert_array_equal(obs[3:6, 1, :, ::2], want[3:6, 1, :, ::2])
    np.testing.assert_array_equal(obs[[3, 6], ..., 0], want[[3, 6], ..., 0])


def test_a_slice_reads_each_frame_once(frames):
    asked = []

    class Counting(np.ndarray):
        def __getitem__(self, index):
            asked.append(index)
            return np.asarray(self)[index]

    obs = Observations(frames.view(Counting), STARTS, 4, "repeat")
    obs[10:16]
    assert asked == [slice(8, 16)]  # the episode began at 8: nothing before it
    obs[[12, 13, 13]]
    np.testing.assert_array_equal(asked[1], [9, 10, 11, 12, 13])


def test_columns_are_read_like_numpy(tmp_path, frames):
    rgb = np.arange(TOTAL * 2 * 3 * 3, dtype=np.uint8).reshape(TOTAL, 2, 3, 3)
    store = write(tmp_path / "e.zarr", frames, columns={"rgb": ((2, 3, 3), "uint8")}, rgb=rgb)
    assert "rgb" in store and "ram" not in store and set(store.columns) == {"frames", "stack_start", "rgb"}
    assert store.rgb.shape == rgb.shape and store["rgb"].ndim == 4 and len(store) == len(store.frames) == TOTAL
    for index in (3, -1, slice(2, 9), slice(None), [4, 4, -1], (slice(1, 3), 0, ..., 2), np.int64(2), ...):
        np.testing.assert_array_equal(store.rgb[index], rgb[index])
    assert store.stack_start[2].shape == ()
    np.testing.assert_array_equal(np.asarray(store.frames), frames)
    assert store.attributes == {"preset": "dqn", "n": [1, 2]} and (store.stack, store.padding) == (4, "repeat")


def test_episodes_and_returns(tmp_path, frames):
    number = np.repeat([3, 4, 9, 2], LENGTHS)
    ends = np.isin(np.arange(TOTAL), STARTS[1:] - 1)  # the last episode is cut off
    reward = np.arange(TOTAL, dtype=np.float32)
    kinds = {"episode": ((), "int64"), "reward": ((), "float32"), "terminated": ((), "bool")}
    store = write(tmp_path / "a.zarr", frames, columns=kinds, episode=number, reward=reward, terminated=ends)
    assert store.episodes == [
        Episode(3, 0, 7, 21.0, 7, True),
        Episode(4, 7, 8, 7.0, 1, True),
        Episode(9, 8, 20, 162.0, 12, True),
        Episode(2, 20, 23, 63.0, 3, False),
    ]
    plain = write(tmp_path / "b.zarr", frames).episodes
    assert [(e.id, e.start, e.stop) for e in plain] == [(0, 0, 7), (1, 7, 8), (2, 8, 20), (3, 20, 23)]
    assert all(e.ended is None for e in plain)
    assert all(np.isnan(e.episode_return) for e in plain)


def test_zarr_and_xarray_read_it(tmp_path, frames):
    columns = {"logits": ((6,), "float32"), "rgb": ((7, 8, 3), "uint8"), "terminated": ((), "bool")}
    values = {
        "logits": np.random.default_rng(1).normal(size=(TOTAL, 6)).astype(np.float32),
        "rgb": np.random.default_rng(1).integers(0, 256, (TOTAL, 7, 8, 3), dtype=np.uint8),
        "terminated": np.arange(TOTAL) % 5 == 0,
    }
    write(tmp_path / "e.zarr", frames, columns=columns, **values)
    group = zarr.open_group(tmp_path / "e.zarr", mode="r")
    data = xarray.open_zarr(tmp_path / "e.zarr", consolidated=False)
    assert group.attrs["preset"] == data.attrs["preset"] == "dqn"
    assert data["frames"].dims == ("frame", "y", "x", "channel") and data["logits"].dims == ("frame", "logits_0")
    for name, want in {"frames": frames, **values}.items():
        assert data[name].dtype == want.dtype
        np.testing.assert_array_equal(np.asarray(group[name][:]), want)
        np.testing.assert_array_equal(data[name].to_numpy(), want)


def test_an_empty_store_reads(tmp_path, frames):
    store = write(tmp_path / "e.zarr", frames[:0])
    assert len(store) == 0 and store.episodes == [] and store.observations[:].shape == (0, 4, 5, 8)
    assert xarray.open_zarr(tmp_path / "e.zarr", consolidated=False).sizes["frame"] == 0


def test_reading_goes_in_constant_memory(tmp_path):
    """A block is held, not the store: twice the rows, the same peak."""

    some = np.zeros((256, 32, 32, 1), np.uint8)

    def peak(rows):
        path = tmp_path / f"{rows}.zarr"
        options = {"stack": 4, "padding": "repeat", "attributes": {}, "columns": {}}
        with create_episodes(path, frame_shape=some.shape[1:], **options) as writer:
            for first in range(0, rows, 256):
                writer.append(frames=some, stack_start=np.arange(first, first + 256) == 0)
        obs = Episodes(path).observations
        gc.collect()
        tracemalloc.start()
        for first in range(0, rows, 64):
            obs[first : first + 64]
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(4096) < 1.1 * peak(1024)


def test_refusals(tmp_path, frames):
    with pytest.raises(FileNotFoundError, match="no episodes store at"):
        Episodes(tmp_path / "nothing.zarr")
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(ValueError, match="not one that rljax_viz wrote"):
        Episodes(tmp_path / "other.zarr")
    store = write(tmp_path / "e.zarr", frames)
    with pytest.raises(KeyError, match=r"no column 'ram'; it has \['frames', 'stack_start'\]"):
        store["ram"]
    with pytest.raises(AttributeError, match="no attribute or column 'ram'"):
        _ = store.ram
    with pytest.raises(IndexError, match="row 23 is out of range: there are 23 rows"):
        store.frames[[0, 23]]
    with pytest.raises(IndexError, match="out of range"):
        store.observations[-24]
    with pytest.raises(IndexError, match="rows are chosen by"):
        store.frames[1.5]
    with pytest.raises(IndexError, match="only the first index may be an array"):
        store.frames[[0, 1], [0, 1]]
    text = (tmp_path / "e.zarr/zarr.json").read_text()
    (tmp_path / "e.zarr/zarr.json").write_text(text.replace('"version": 2', '"version": 7'))
    with pytest.raises(ValueError, match="update rljax_viz"):
        Episodes(tmp_path / "e.zarr")
