"""The explorer in a real browser, opened from file:// as a person does. Needs playwright and chromium; see -m slow."""

import base64
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rljax_viz.report import MapSeries, write_explorer

from .play import NAMES, SIZE, T, frames, maps, recording

pytestmark = pytest.mark.slow

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DESKTOP = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
DRAWN = "document.body.dataset.drawn !== undefined"
TIMEOUT = 60_000  # ms: of a busy machine


def chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.fail("No chromium: install it (apt-get install chromium), or name another one: CHROMIUM=/path/to/chrome")
    return found


@pytest.fixture(scope="module")
def browser():
    executable = chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        pytest.fail("No playwright: pip install 'rljax-viz[e2e]'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def ball(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "ball.html"
    facts = {"environment": "Ball-v0", "agent": "none", "score": "2", "seed": 0}
    return write_explorer(path, recording(), maps(), title="Ball", facts=facts, action_names=NAMES)


@pytest.fixture
def visit(browser):
    """visit(path, **context) opens a page; at the end no page has complained or asked for anything from outside.

    Complaints arrive until their page is closed, so what a test expects goes into visit.expected and is taken out then."""
    contexts, complaints, expected = [], [], []

    def go(path: Path, expect: str = DRAWN, at: str = "", **context):
        contexts.append(browser.new_context(**(context or DESKTOP)))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type != "info" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or complaints.append(asked.url))
        page.goto(path.as_uri() + at)
        page.wait_for_function(expect, timeout=TIMEOUT)
        return page

    go.expected = expected
    yield go
    for context in contexts:
        context.close()
    assert [text for text in complaints if not any(words in text for words in expected)] == []


def settle(page) -> None:
    """Waits until the page shows its state: the mark is taken away by every change and comes with its picture."""
    page.wait_for_function(DRAWN, timeout=TIMEOUT)


def where(page) -> int:
    """The row that is shown and drawn."""
    settle(page)
    return int(page.evaluate("document.body.dataset.drawn"))


def pixels(page, canvas: str = "map-canvas") -> np.ndarray:
    """[height width 4], what stands on a canvas."""
    settle(page)
    url = page.evaluate("id => document.getElementById(id).toDataURL()", canvas)
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


def cells(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The colours in the middle of each of rows x columns cells."""
    height, width = picture.shape[:2]
    y = ((np.arange(rows) + 0.5) / rows * height).astype(int)
    x = ((np.arange(columns) + 0.5) / columns * width).astype(int)
    return picture[np.ix_(y, x)]


def press(page, *keys: str) -> int:
    for key in keys:
        page.keyboard.press(key)
    return where(page)


def test_it_opens_and_tells_what_it_shows(visit, ball):
    page = visit(ball)
    assert where(page) == 0
    assert page.title() == "Ball" and page.inner_text("#title") == "Ball"
    assert "Ball-v0" in page.inner_text("#chips")
    assert page.locator("#method option").all_inner_texts() == ["Gradient", "Grad-CAM"]
    assert page.locator("#score option").all_inner_texts() == ["the value", "the logit of the chosen action"]
    assert page.locator("#bars li span").all_inner_texts() == list(NAMES)
    assert page.locator("#bars li.chosen span").inner_text() == "NOOP"
    assert "value per unit of obs" in page.inner_text("#readout")
    page.click("#facts-button")
    assert "episodes" in page.inner_text("#facts-table")


def test_it_plays_and_pauses_and_stops_at_the_end_of_the_episode(visit, ball):
    page = visit(ball)
    page.select_option("#speed", "30")
    page.click("#play")
    page.wait_for_function("document.body.dataset.drawn === '6'", timeout=10_000)
    page.wait_for_function("!document.getElementById('play').classList.contains('playing')")
    assert where(page) == 6
    page.select_option("#speed", "2")
    press(page, " ")  # from the start again
    page.wait_for_function("document.body.dataset.drawn === '1'", timeout=10_000)
    at = press(page, " ")
    page.wait_for_timeout(1200)
    assert where(page) == at < 6


def test_the_keyboard(visit, ball):
    page = visit(ball)
    assert press(page, "ArrowRight") == 1
    assert press(page, "ArrowRight", "ArrowRight", "ArrowLeft") == 2
    assert press(page, "End") == 6
    assert press(page, "Home") == 0
    assert press(page, "Shift+ArrowRight") == 6  # ten, but not past the episode
    assert press(page, "Shift+ArrowLeft") == 0
    assert [press(page, "n") for _ in range(4)] == [3, 5, 6, 11]  # reward, life, end, end of the next episode
    assert press(page, "p") == 6
    assert press(page, "]") == 7
    assert press(page, "[") == 0
    press(page, "m")
    assert page.input_value("#method") == "Grad-CAM"
    press(page, "s")
    assert page.input_value("#score") == "logit:chosen"
    press(page, "v")
    assert page.get_attribute("#view [data-value=side]", "aria-pressed") == "true"
    press(page, "v", "2", "+", "e")
    assert page.get_attribute("#scaling [data-value=episode]", "aria-pressed") == "true"
    assert page.inner_text("#opacity-text") == "60 %"
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("ArrowRight")  # behind the open page of help nothing moves
    page.keyboard.press("Escape")
    assert not page.is_visible("#help") and where(page) == 0


def test_scrubbing_by_mouse(visit, ball):
    page = visit(ball)
    handle = page.locator("#scrub").bounding_box()
    page.mouse.move(handle["x"] + 8, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2, steps=5)
    assert where(page) == 3
    page.mouse.up()
    chart = page.locator("#charts").bounding_box()
    page.mouse.move(chart["x"] + chart["width"] - 12, chart["y"] + 20)
    assert "step 6" in page.inner_text("#tip") and "end" in page.inner_text("#tip")
    page.mouse.down()
    assert where(page) == 6
    page.mouse.move(chart["x"] + 100, chart["y"] + 20, steps=4)
    page.mouse.up()
    assert where(page) == 0


def test_the_episode_is_chosen(visit, ball):
    page = visit(ball)
    page.select_option("#episode", "1")
    assert where(page) == 7
    assert page.inner_text("#where").startswith("step 0")


def test_frames_are_what_the_agent_was_given(visit, ball):
    page = visit(ball)
    assert press(page, "ArrowRight", "ArrowRight", "ArrowRight") == 3
    seen = cells(pixels(page, "agent-canvas"), SIZE, SIZE)[..., 0]
    assert np.abs(seen - frames()[3].astype(int)).max() <= 2
    page.click("#stack button >> nth=1")  # two frames ago
    seen = cells(pixels(page, "agent-canvas"), SIZE, SIZE)[..., 0]
    assert np.abs(seen - frames()[1].astype(int)).max() <= 2
    game = cells(pixels(page, "game-canvas"), 21, 16)
    assert np.abs(game[6, 3, :3] - (200, 80, 20)).max() <= 2 and game[0, 0, :3].max() <= 2


@pytest.mark.parametrize("number", range(4))
def test_every_map_is_drawn_as_it_is(visit, ball, number):
    """By itself, unsmoothed and scaled by the step, a cell's opacity is its value and its hue its sign."""
    series, row = maps()[number], 2
    page = visit(ball)
    page.select_option("#method", "Gradient" if series.method == "gradient" else "Grad-CAM")
    page.select_option("#score", series.score)
    page.click("#view [data-value=side]")
    page.uncheck("#smooth")
    assert press(page, "ArrowRight", "ArrowRight") == row
    values = series.values[row]
    drawn = cells(pixels(page), *values.shape)
    strength = np.abs(values) / np.abs(values).max()
    assert np.abs(drawn[..., 3] / 255 - strength).max() < 0.02
    strong = strength > 0.1
    assert np.array_equal((drawn[..., 1] > drawn[..., 0])[strong], (values > 0)[strong])


def test_pointing_reads_the_raw_value(visit, ball):
    page = visit(ball)
    box = page.locator("#map-canvas").bounding_box()
    values = maps()[0].values[0]
    for y, x in ((0, 0), (7, 11), (15, 15)):
        page.mouse.move(box["x"] + (x + 0.5) / SIZE * box["width"], box["y"] + (y + 0.5) / SIZE * box["height"])
        settle(page)
        told = page.inner_text("#readout")
        value = float(told.split()[0].replace("\u2212", "-"))
        assert abs(value - values[y, x]) < np.abs(values).max() / 127
        assert f"x {x}, y {y}" in told and "value per unit of obs" in told


def test_scaling_changes_the_picture_and_says_so(visit, ball):
    page = visit(ball)
    page.click("#view [data-value=side]")
    pictures, told = {}, {}
    for by in ("frame", "episode", "global"):
        page.click(f"#scaling [data-value={by}]")
        pictures[by], told[by] = pixels(page), page.inner_text("#high")
    largest = np.abs(maps()[0].values).max((1, 2))
    expected = {"frame": largest[0], "episode": largest[:7].max(), "global": largest.max()}
    for by, full in expected.items():
        assert abs(float(told[by].replace("\u2212", "-")) - full) / full < 0.01
        assert abs(pictures[by][..., 3].max() / 255 - largest[0] / full) < 0.02
    page.fill("#gain", "20")  # ten times
    assert pixels(page)[..., 3].mean() > 3 * pictures["global"][..., 3].mean()


def test_overlay_opacity_and_colours(visit, ball):
    page = visit(ball)
    over = pixels(page)
    assert over[..., 3].min() == 255  # the frame lies under it
    page.fill("#opacity", "0")
    bare = cells(pixels(page), SIZE, SIZE)
    assert np.abs(bare[..., 0] - frames()[0].astype(int)).max() <= 2  # only the frame is left
    assert np.array_equal(bare[..., 0], bare[..., 1])
    page.fill("#opacity", "100")
    full = pixels(page)
    page.check("#colours")
    blue = pixels(page)
    assert full[..., 1].sum() > full[..., 2].sum() and blue[..., 2].sum() > full[..., 2].sum()
    assert "Blue" in page.inner_text("#readout")
    page.click("#view [data-value=side]")
    assert pixels(page)[..., 3].min() < 50


def test_coarse_maps_are_smoothed_or_not(visit, ball):
    page = visit(ball)
    page.select_option("#method", "Grad-CAM")
    smooth = pixels(page)
    page.uncheck("#smooth")
    assert np.abs(smooth - pixels(page)).mean() > 1


def test_thumbnails_show_and_choose_methods(visit, ball):
    page = visit(ball)
    page.click("#thumbs button >> nth=1")
    settle(page)
    assert page.input_value("#method") == "Grad-CAM"
    page.click("#thumbs button >> nth=0")
    settle(page)
    assert page.input_value("#method") == "Gradient"


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_desk_shows_all_without_scrolling(visit, ball, scheme):
    page = visit(ball, **DESKTOP | {"color_scheme": scheme})
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert room == [1280, 800]
    for id in ("game-canvas", "agent-canvas", "map-canvas", "play", "charts", "bars", "gain", "readout"):
        box = page.locator(f"#{id}").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 1280 and box["y"] + box["height"] <= 800
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") != scheme


def test_the_phone_has_one_column_and_takes_touch(visit, ball):
    page = visit(ball, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    map_box, play = page.locator("#map-canvas").bounding_box(), page.locator("#play").bounding_box()
    assert map_box["width"] > 340 and map_box["y"] + map_box["height"] < 844 and play["y"] + play["height"] <= 844
    handle = page.locator("#scrub").bounding_box()
    page.touchscreen.tap(handle["x"] + handle["width"] - 4, handle["y"] + handle["height"] / 2)
    assert where(page) == 6
    page.locator("#charts").scroll_into_view_if_needed()
    chart = page.locator("#charts").bounding_box()
    page.touchscreen.tap(chart["x"] + 100, chart["y"] + 20)
    assert where(page) == 0


def test_the_address_keeps_the_moment(visit, ball):
    page = visit(ball)
    press(page, "m", "ArrowRight", "ArrowRight", "3")
    page.wait_for_function("location.hash.includes('t=2')")
    again = visit(ball, at=page.evaluate("location.hash"))
    again.wait_for_function("document.body.dataset.drawn === '2'")
    assert again.input_value("#method") == "Grad-CAM"
    assert again.get_attribute("#scaling [data-value=global]", "aria-pressed") == "true"


def test_atlases_beside_the_page(visit, tmp_path):
    path = write_explorer(tmp_path / "far.html", recording(), maps(), title="Ball", inline_limit=1)
    page = visit(path)
    assert press(page, "End") == 6
    assert pixels(page)[..., 1].max() > 60
    shutil.rmtree(tmp_path / "far_files")
    lost = visit(path, expect="document.getElementById('fatal') !== null")
    assert "belong together" in lost.inner_text("#fatal")
    visit.expected += ["far_files", "ERR_FILE_NOT_FOUND"]


@pytest.mark.parametrize("case", ["one", "planes", "q", "bare", "many"])
def test_other_recordings(visit, tmp_path, case):
    """One step; planes of objects; q; nothing but frames; eighteen actions and a long title."""
    rng = np.random.default_rng(0)
    title, series, names = "Other", maps(), None
    if case == "one":
        one = {name: None if getattr(recording(), name) is None else getattr(recording(), name)[:1] for name in
               ("obs", "rgb", "action", "reward", "terminated", "truncated", "episode", "value", "logits", "life_lost")}
        play, series = recording(**one), maps(1)
    elif case == "planes":
        planes = (rng.random((T, 10, 10, 5)) > 0.7).astype(np.uint8) * 255
        play = recording(obs=planes, stack=1, rgb=None)
    elif case == "q":
        play = recording(logits=None, value=None, q=rng.normal(size=(T, 3)), step=np.arange(T) * 2)
    elif case == "bare":
        play, series = recording(logits=None, value=None, life_lost=None, rgb=None), []
    else:
        play = recording(logits=rng.normal(size=(T, 18)))
        names, title = [f"DOWNRIGHTFIRE{i}" for i in range(18)], "A long title " * 20
        series = [MapSeries(f"method_{i}", "value", rng.normal(size=(T, 4, 4)), layer=f"layer{i}") for i in range(14)]
    page = visit(write_explorer(tmp_path / "page.html", play, series, title=title, action_names=names))
    assert press(page, "ArrowRight", "e", "m", "s", "n") in range(T)
    assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [1280, 800]
    phone = visit(tmp_path / "page.html", **PHONE)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    if series:
        assert pixels(phone)[..., :3].max() > 60
