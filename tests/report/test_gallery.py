import numpy as np
import pytest
from PIL import Image

from rljax_viz.report import panels, write_gallery, write_past
from rljax_viz.report.panels import columns_for, fitted, font, wrapped

from .play import frames, recording


@pytest.mark.parametrize("count", [1, 3, 6, 11])
def test_every_map_stands_on_the_sheet(tmp_path, count):
    maps = {f"method {i}": np.full((4, 4) if i % 2 else (16, 16), 1.0 if i % 3 else -1.0) for i in range(count)}
    path = write_gallery(tmp_path / "sheet.png", frames()[0], maps, rgb=recording().rgb[0], title="Ball", side=64)
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(int)
    strong = pixels.max(-1) - pixels.min(-1) > 60  # a cell is 64 x 64, and all of it is coloured
    assert strong.sum() > 0.9 * count * 64 * 64


def test_the_frame_and_the_game_are_there(tmp_path):
    path = write_gallery(tmp_path / "sheet.png", np.full((16, 16), 77, np.uint8), {"zero": np.zeros((16, 16))},
                         rgb=np.full((21, 16, 3), (1, 99, 200), np.uint8), side=64, foot="")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels == 77).all(-1).sum() >= 64 * 64
    assert (pixels == (1, 99, 200)).all(-1).sum() >= 60 * 40


def test_a_map_of_zeros_is_said_to_be_one(tmp_path, monkeypatch):
    feet = []
    monkeypatch.setattr(panels.Sheet, "_letter", lambda sheet, labels, title, foot: feet.append(foot))
    for values in (np.zeros((4, 4)), np.ones((4, 4))):
        write_gallery(tmp_path / "a.png", frames()[0], {"one": np.ones((4, 4)), "other": values})
    assert ["zero everywhere" in foot for foot in feet] == [True, False]


def test_columns_leave_no_row_empty():
    for cells in range(1, 40):
        rows = -(-cells // columns_for(cells))
        assert 0 <= rows * columns_for(cells) - cells < columns_for(cells)


def test_words_are_cut_and_broken_to_their_width():
    assert fitted("short", 15, 200) == "short"
    assert fitted("a very long title indeed", 15, 60).endswith("...")
    lines = wrapped("Green speaks for the score and red against it", 15, 90)
    assert " ".join(lines) == "Green speaks for the score and red against it" and len(lines) > 2
    assert all(font(15).getlength(line) <= 90 for line in lines)


def test_a_gallery_refuses_what_it_cannot_draw(tmp_path):
    with pytest.raises(ValueError, match="No map to show"):
        write_gallery(tmp_path / "a.png", frames()[0], {})
    with pytest.raises(ValueError, match="'cube' has shape"):
        write_gallery(tmp_path / "a.png", frames()[0], {"cube": np.zeros((4, 4, 4))})


def test_past_frames_stand_in_a_row_each_over_its_own_frame(tmp_path):
    shades = np.array([10, 60, 120, 200], np.uint8)
    past = np.broadcast_to(shades[:, None, None, None], (4, 16, 16, 1))
    strong = np.stack([np.full((16, 16), v, np.float32) for v in (0.0, 0.5, 1.0)])
    path = write_past(tmp_path / "past.png", past, {"all": np.zeros((4, 16, 16)), "three": strong}, side=64)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    grey = pixels.max(-1) == pixels.min(-1)
    for shade in shades:  # a map of zeros leaves its frame as it is, dimmed; the frame itself leads the row
        assert (grey & (pixels[..., 0] == round(shade * (1 - 0.8 * 0.6)))).sum() >= 64 * 64
    assert (grey & (pixels[..., 0] == 200)).sum() >= 2 * 64 * 64
    assert 0.9 * 2 * 64 * 64 < (~grey & (pixels[..., 1] > 1.5 * pixels[..., 0])).sum() < 3 * 64 * 64
    with pytest.raises(ValueError, match=r"expected \[T h w\] of at most 4 frames"):
        write_past(tmp_path / "x.png", past, {"five": np.zeros((5, 16, 16))})
    with pytest.raises(ValueError, match="No map to show"):
        write_past(tmp_path / "x.png", past, {})
