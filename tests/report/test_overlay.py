import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from rljax_viz.report import overlay, show
from rljax_viz.report.overlay import NEGATIVE, POSITIVE, colours, resize


def test_green_is_positive_and_red_is_negative():
    values = np.zeros((4, 4))
    values[0, 0], values[3, 3], values[1, 1] = 2.0, -2.0, 1.0
    picture = overlay(np.full((4, 4), 100, np.uint8), values).astype(int)
    assert np.array_equal(picture[0, 0], np.round((100 + POSITIVE) / 2))
    assert np.array_equal(picture[3, 3], np.round((100 + NEGATIVE) / 2))
    assert picture[0, 0, 1] > picture[1, 1, 1] > 100  # half the value, half the strength
    assert np.all(picture[0, 1] == 100)  # zero leaves the frame alone


def test_opacity_and_scale():
    frame, values = np.full((2, 2, 1), 50, np.uint8), np.array([[1.0, -1.0], [0.0, 4.0]])
    assert np.all(overlay(frame, values, opacity=0.0) == 50)
    assert np.array_equal(overlay(frame, values, opacity=1.0, scale=1.0)[1, 1], POSITIVE.astype(np.uint8))
    assert np.array_equal(overlay(frame, values, opacity=1.0, scale=1.0)[0, 1], NEGATIVE.astype(np.uint8))
    assert np.all(overlay(frame, np.zeros((2, 2))) == 50)


def test_only_the_map_has_colour():
    frame = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    picture = overlay(frame, np.zeros((6, 6)))
    assert np.array_equal(picture[..., 0], picture[..., 2])


def test_resize_is_bilinear_with_half_pixel_centres():
    assert np.allclose(resize(np.array([[0.0, 1.0]], np.float32), (1, 4))[0], [0, 0.25, 0.75, 1], atol=1e-6)


def test_planes_are_drawn_in_one_colour_each():
    frame = np.zeros((3, 3, 4), np.uint8)
    frame[0, 0, 1] = frame[2, 2, 3] = 255
    picture = colours(frame)
    assert not np.array_equal(picture[0, 0], picture[2, 2]) and not picture[1, 1].any()
    assert np.array_equal(colours(np.full((2, 2), 9, np.uint8)), np.full((2, 2, 3), 9))


@pytest.mark.parametrize(
    ("frame", "values", "options", "message"),
    [
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4)), {}, r"take the newest frame, `map\[..., -1\]`"),
        (np.zeros((4, 4), np.uint8), np.full((4, 4), np.nan), {}, "NaN or infinity"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4)), {"opacity": 50}, "opacity is 50; expected 0 to 1"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4)), {"scale": -1.0}, "scale is -1.0"),
        (np.zeros((4, 4)), np.zeros((4, 4)), {}, "expected one uint8 frame"),
    ],
)
def test_overlay_refuses(frame, values, options, message):
    with pytest.raises(ValueError, match=message):
        overlay(frame, values, **options)


def test_show_takes_arrays_of_jax_and_shows_the_newest_frame():
    obs = jnp.zeros((84, 84, 4), jnp.uint8).at[..., 3].set(200)
    values = jnp.zeros((84, 84, 4)).at[10, 20, 3].set(-3.0).at[40, 40, 0].set(9.0)
    picture = show(obs, values)
    assert isinstance(picture, Image.Image) and picture.size == (336, 336)
    assert picture._repr_png_()  # what a notebook displays
    pixels = np.asarray(picture).astype(int)
    assert pixels[42, 82, 0] > pixels[42, 82, 1] + 60  # 10, 20 enlarged by 4: red
    assert np.all(pixels[162, 162] == 200)  # the oldest frame's map is not the newest's


def test_show_knows_stacks_from_objects():
    obs = np.zeros((10, 10, 4), np.uint8)
    obs[2, 2, 0] = 255
    values = np.zeros((10, 10, 4))
    values[5, 5, 0] = 1.0
    pixels = np.asarray(show(obs, values)).astype(int)
    assert pixels[34 * 2 + 9, 34 * 2 + 9].min() > 50  # plane 0 is drawn
    assert pixels[34 * 5 + 9, 34 * 5 + 9, 1] > 80  # and its map
    assert np.asarray(show(obs, values, stack=4)).max() == 0  # as a stack, all of that is long ago


def test_show_upsamples_a_coarse_map():
    values = np.zeros((20, 20))
    values[10, 10] = 1.0
    assert np.asarray(show(np.zeros((84, 84, 4), np.uint8), values))[..., 1].argmax() > 0


@pytest.mark.parametrize(
    ("obs", "values", "options", "message"),
    [
        (np.zeros((2, 84, 84, 4), np.uint8), np.zeros((84, 84)), {}, r"ONE observation.*show\(obs\[i\], map\[i\]\)"),
        (np.zeros((84, 84, 4), np.uint8), np.zeros((84, 84, 3)), {}, "or the shape of obs"),
        (np.zeros((84, 84, 4), np.uint8), np.zeros((84, 84)), {"stack": 3}, "stack=3 does not divide"),
    ],
)
def test_show_refuses(obs, values, options, message):
    with pytest.raises(ValueError, match=message):
        show(obs, values, **options)
