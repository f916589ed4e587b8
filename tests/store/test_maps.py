"""Maps on disk: any magnitude, resumed, refused when they are others, read by other programs."""

import numpy as np
import pytest
import xarray
import zarr

from rljax_viz.store import DamagedStore, Episodes, create_maps, open_maps
from rljax_viz.store.codes import decode, encode

ATTRIBUTES = {"preset": {"game": "Pong", "stack": 4}, "checkpoint": "ab12", "units": "value per unit of obs"}


def make(path, **options):
    return create_maps(path, **{"frames": 21, "shape": (4, 5), "attributes": ATTRIBUTES, "shard": 8, **options})


def values(count=21, shape=(4, 5), size=1.0):
    return (np.random.default_rng(3).normal(size=(count, *shape)) * size).astype(np.float32)


@pytest.mark.parametrize("size", [1e-38, 1e-12, 1e-9, 1e-5, 1.0, 1e6, 1e30])
def test_float16_is_true_at_any_magnitude(tmp_path, size):
    want = values(size=size)
    maps = make(tmp_path / "m.zarr")
    maps[:] = want
    found = open_maps(tmp_path / "m.zarr")[:]
    assert found.dtype == np.float32
    largest = np.abs(want).max(axis=(1, 2), keepdims=True)
    assert (np.abs(found.astype(np.float64) - want) <= 1e-3 * largest).all()
    np.testing.assert_allclose(found, want, rtol=2**-11 if size > 1e-30 else 2**-9)


def test_a_frame_with_small_and_large_values():
    want = np.array([[1e6, 1.0, 1e-2, 0.0, -1e6]], np.float32)
    stored, _ = encode(want, "float16")
    halves, scale = stored["map"], stored["scale"]
    assert np.log2(scale[0]) % 1 == 0 and halves.dtype == np.float16
    np.testing.assert_allclose(halves * scale, want, rtol=2**-11)


def test_zero_nan_and_infinity_stay(tmp_path):
    want = values(4, size=1e-7)
    want[0] = 0
    want[1, 0, 0], want[1, 0, 1], want[2, 1, 1] = np.nan, -np.inf, np.inf
    want[3] = np.nan
    maps = make(tmp_path / "m.zarr", frames=4)
    maps[:] = want
    np.testing.assert_allclose(maps[:], want, rtol=1e-3)


def test_float32_keeps_every_bit(tmp_path):
    want = values(size=3e-7)
    maps = make(tmp_path / "m.zarr", dtype="float32")
    maps[:] = want
    np.testing.assert_array_equal(maps[:], want)
    assert not (tmp_path / "m.zarr/scale").exists()


def test_done_says_what_is_there_and_the_rest_is_nan(tmp_path):
    want = values()
    maps = make(tmp_path / "m.zarr")
    assert maps.shape == (21, 4, 5) and len(maps) == 21 and maps.ndim == 3 and not maps.done.any()
    maps[8:16] = want[8:16]
    maps[20] = want[20]
    again = make(tmp_path / "m.zarr")  # the same attributes: it goes on
    np.testing.assert_array_equal(np.flatnonzero(again.done), [*range(8, 16), 20])
    for index in (9, slice(8, 12), [20, -1, 8], slice(15, 7, -2), (slice(8, 10), 0, ...)):
        np.testing.assert_allclose(again[index], want[index], rtol=1e-3)
    assert np.isnan(again[:8]).all() and np.isnan(again[16:20]).all()
    again[-3:] = want[-3:]
    assert maps.done[18:].all()
    np.testing.assert_allclose(np.asarray(maps)[-3:], want[-3:], rtol=1e-3)


def test_done_is_written_after_the_data_and_taken_back_before_new_data(tmp_path, monkeypatch):
    """Writes that fail half-way, like a kill, never leave `done` true."""
    maps = make(tmp_path / "m.zarr")

    def broken(name):
        class Broken:
            def __getitem__(self, rows):
                raise OSError("disk full")

        return {**maps._stored, name: Broken()}

    maps[0:8] = values(8)
    good = maps._stored
    for name in ("map", "scale"):
        monkeypatch.setattr(maps, "_stored", broken(name))
        for rows in (slice(0, 8), slice(8, 16)):
            with pytest.raises(OSError, match="disk full"):
                maps[rows] = values(8)
        monkeypatch.setattr(maps, "_stored", good)
        assert not maps.done.any()
        maps[0:8] = values(8)


def test_zarr_and_xarray_read_it(tmp_path):
    want = values(shape=(4, 5, 2), size=1e-9)
    make(tmp_path / "m.zarr", shape=(4, 5, 2))[:] = want
    group = zarr.open_group(tmp_path / "m.zarr", mode="r")
    data = xarray.open_zarr(tmp_path / "m.zarr", consolidated=False)
    assert data["map"].dims == ("frame", "y", "x", "channel") and data["map"].dtype == np.float16
    assert group.attrs["units"] == data.attrs["units"] == ATTRIBUTES["units"]
    assert bool(data["done"].all()) and data["map"].attrs["value"] == "map * scale"
    np.testing.assert_allclose((data["map"].astype("float32") * data["scale"]).to_numpy(), want, rtol=1e-3)
    scale = np.asarray(group["scale"][:])[:, None, None, None]
    np.testing.assert_allclose(np.asarray(group["map"][:]).astype(np.float32) * scale, want, rtol=1e-3)


@pytest.mark.parametrize(
    ("shape", "dims"),
    [((), ("frame",)), ((6,), ("frame", "map_0")), ((1, 2, 3, 4), ("frame", *(f"map_{axis}" for axis in range(4))))],
)
def test_maps_of_any_rank(tmp_path, shape, dims):
    want = values(shape=shape)
    maps = make(tmp_path / "m.zarr", shape=shape)
    maps[0:21] = want
    maps[3] = want[3]
    np.testing.assert_allclose(maps[:], want, rtol=1e-3)
    assert xarray.open_zarr(tmp_path / "m.zarr", consolidated=False)["map"].dims == dims


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 22}, "frames is 21 there and 22 here"),
        ({"shape": (5, 4)}, r"shape is \[4, 5\] there and \[5, 4\] here"),
        ({"dtype": "float32"}, "dtype is 'float16' there and 'float32' here"),
        ({"shard": 4}, "shard is 8 there and 4 here"),
        ({"attributes": {**ATTRIBUTES, "checkpoint": "cd34"}}, r"\['checkpoint'\] is 'ab12' there and 'cd34' here"),
        ({"attributes": {**ATTRIBUTES, "layer": "conv1"}}, r"\['layer'\] is 'nothing' there .* delete that folder"),
    ],
)
def test_other_maps_are_refused(tmp_path, change, message):
    make(tmp_path / "m.zarr")
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "m.zarr", **change)


def test_tuples_in_attributes_resume_too(tmp_path):
    make(tmp_path / "m.zarr", attributes={"size": (84, 84)})
    assert make(tmp_path / "m.zarr", attributes={"size": (84, 84)}, shard=None).attributes == {"size": [84, 84]}


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match=r"'float16' .* or 'float32', got 'int8'"):
        make(tmp_path / "m.zarr", dtype="int8")
    with pytest.raises(FileNotFoundError, match="no maps store at"):
        open_maps(tmp_path / "m.zarr")
    maps = make(tmp_path / "m.zarr")
    with pytest.raises(ValueError, match=r"maps\[0:8\] expects values of shape \(8, 4, 5\), got \(8, 5, 4\)"):
        maps[0:8] = values(8, (5, 4))
    with pytest.raises(IndexError, match="step 1"):
        maps[::2] = values(11)
    with pytest.raises(IndexError, match="frame 21 is out of range"):
        maps[21] = values(1)[0]
    with pytest.raises(ValueError, match="holds maps, not episodes"):
        Episodes(tmp_path / "m.zarr")


def test_shards_stay_small_and_the_path_may_hold_any_letter(tmp_path):
    large = create_maps(tmp_path / "gradient-a%2Fb=1 ü.zarr", frames=9, shape=(84, 84, 4), attributes={})
    small = create_maps(tmp_path / "small.zarr", frames=9, shape=(4, 4), attributes={})
    assert (large.shard, small.shard) == (256, 512)
    large[8] = np.ones((84, 84, 4))
    assert open_maps(large.path)[8].min() == 1
    assert (large.path / "map").is_dir() and len(list((large.path / "map").glob("c*"))) == 1


@pytest.mark.parametrize("size", [10, 16, 84])
@pytest.mark.parametrize("dtype", ["float16", "uint8", "float32"])
def test_what_is_not_finite_is_seen_in_a_compiled_program(dtype, size):
    """XLA's maximum of 16 x 16 values and more loses NaN on a CPU."""
    import jax
    import jax.numpy as jnp

    want = values(8, (size, size))
    want[1], want[3, 2, 2], want[5, -1, -1], want[6, 0, 0] = np.nan, np.nan, np.nan, np.inf
    stored, finite = jax.jit(lambda x: encode(x, dtype, jnp))(want)
    assert np.flatnonzero(~np.asarray(finite)).tolist() == [1, 3, 5, 6]
    found = decode({name: np.asarray(one) for name, one in stored.items()})
    np.testing.assert_allclose(found[[0, 2, 4, 7]], want[[0, 2, 4, 7]], atol=0.02)
    assert np.isnan(found[1]).all() and np.isnan(found[3, 2, 2]) and np.isnan(found[5, -1, -1])
    if dtype != "uint8":  # which has no room for what is not finite, and gives up the whole map
        np.testing.assert_allclose(found[5].ravel()[:-1], want[5].ravel()[:-1], rtol=1e-3, atol=1e-5)
        assert np.isposinf(found[6, 0, 0])


def test_files_of_maps_that_are_done_are_missed(tmp_path):
    maps = make(tmp_path / "m.zarr")
    maps[:16] = values(16)
    assert maps.lost() == []
    (tmp_path / "m.zarr/scale/c.1").unlink()
    (tmp_path / "m.zarr/map/c.0.0.0").unlink()
    assert maps.lost() == [tmp_path / "m.zarr/map/c.0.0.0", tmp_path / "m.zarr/scale/c.1"]


def test_a_damaged_file_is_not_taken_for_a_full_disk(tmp_path):
    make(tmp_path / "m.zarr")[:16] = values(16)
    marks = tmp_path / "m.zarr/done/c.1"
    marks.write_bytes(marks.read_bytes()[:-3])
    with pytest.raises(DamagedStore, match=r"maps 8 to 11 stand in a damaged file .*verify RUN --mend"):
        make(tmp_path / "m.zarr")[8:12] = values(4)
