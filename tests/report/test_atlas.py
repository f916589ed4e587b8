import base64

import numpy as np
import pytest

from rljax_viz.report.atlas import atlases, decode, dequantise, encode, pack, quantise, tiles_per_atlas, unpack


@pytest.mark.parametrize("size", [1e-37, 1e-4, 1.0, 3e37])
def test_maps_come_back_to_half_a_level(size):
    values = (np.random.default_rng(0).normal(size=(5, 9, 7)) * size).astype(np.float32)
    data, scale = quantise(values)
    back = dequantise(data, scale)
    assert np.array_equal(scale, np.abs(values).max((1, 2)))
    assert np.all(np.abs(back - values) <= scale[:, None, None] / 254 * 1.001)
    assert np.all(np.sign(back) == np.where(data == 128, 0, np.sign(values)))  # no sign is lost
    assert np.allclose(np.abs(back).max((1, 2)), scale, rtol=1e-6)  # the largest value is exact


def test_a_map_of_zeros_stays_zero():
    data, scale = quantise(np.zeros((2, 3, 3)))
    assert not scale.any() and not dequantise(data, scale).any()


def test_a_map_that_is_not_finite_is_refused():
    values = np.zeros((3, 2, 2))
    values[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Map 1 holds NaN or infinity"):
        quantise(values)


@pytest.mark.parametrize("shape", [(1, 4, 6), (11, 4, 6), (16, 5, 5, 3), (3, 2, 9)])
def test_tiles_survive_the_sheet_and_the_file(shape):
    tiles = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    sheet = decode(encode(pack(tiles)))
    back = unpack(sheet, len(tiles), *shape[1:3])
    assert np.array_equal(back if len(shape) == 4 else back[..., 0], tiles)


def test_lossy_only_where_it_is_smaller():
    flat = np.zeros((64, 64, 3), np.uint8)
    assert encode(flat, lossy=True) == encode(flat)
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(encode(noise, lossy=True)) < len(encode(noise)) / 2


def test_atlases_come_in_order():
    tiles = np.random.default_rng(3).integers(0, 256, (23, 4, 4), np.uint8)
    sheets = [decode(base64.b64decode(text)) for text in atlases(lambda a, b: tiles[a:b], 23, 4)]
    assert len(sheets) == 6
    back = np.concatenate([unpack(sheet, min(4, 23 - 4 * i), 4, 4) for i, sheet in enumerate(sheets)])
    assert np.array_equal(back[..., 0], tiles)


def test_a_large_picture_takes_an_atlas_of_its_own():
    assert tiles_per_atlas(84, 84) == 64
    assert tiles_per_atlas(1080, 1920) == 1
    assert tiles_per_atlas(3000, 3000) == 1
