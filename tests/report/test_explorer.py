import base64
import json
import re

import numpy as np
import pytest

from rljax_viz.report import MapSeries, page_size, write_explorer
from rljax_viz.report.atlas import decode, dequantise

from .play import NAMES, STACK, T, frames, maps, recording, stacks


def read(path):
    """What a browser would find: the document and the atlases as pictures."""
    text = path.read_text()
    data = json.loads(re.search(r'<script type="application/json" id="page">(.*?)</script>', text)[1])
    found = dict(re.findall(r'<script type="text/plain" id="atlas-(\d+)">([^<]*)</script>', text))
    if data["folder"]:
        for atlas in (path.parent / data["folder"]).glob("atlas-*.js"):
            number, code = re.fullmatch(r'rljaxAtlas\((\d+),"(.*)"\)\n', atlas.read_text()).groups()
            found[number] = code
    return data, {int(number): decode(base64.b64decode(code)) for number, code in found.items()}


def tile(spec, sheets, number, width=None):
    """One tile by the arithmetic of the format, written a second time."""
    sheet, i = sheets[spec["atlases"][number // spec["per_atlas"]]], number % spec["per_atlas"]
    h, w = spec["height"], width or spec["width"]
    y, x = i // spec["columns"] * h, i % spec["columns"] * w
    return sheet[y:y + h, x:x + w]


@pytest.mark.parametrize("beside", [False, True])
def test_everything_comes_back(tmp_path, beside):
    series = maps()
    calls = []
    path = write_explorer(
        tmp_path / "page.html", recording(), series, title="Ball", facts={"seed": 3}, action_names=NAMES,
        inline_limit=5 if beside else T, progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    data, sheets = read(path)
    assert data["folder"] == ("page_files" if beside else None)
    assert calls == [(i + 1, len(sheets)) for i in range(len(sheets))]
    assert page_size(path) == sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    for t in range(T):
        for place in range(STACK):  # exactly what the agent was given
            seen = tile(data["frames"], sheets, data["frames"]["index"][t][place])
            assert np.array_equal(seen[..., 0], stacks()[t, ..., place])
        assert np.array_equal(tile(data["rgb"], sheets, t), recording().rgb[t])
    for spec, one in zip(data["maps"], series, strict=True):
        shown = np.stack([tile(spec, sheets, t)[..., 0] for t in range(T)])
        error = np.abs(dequantise(shown, np.array(spec["scale"])) - one.values)
        assert np.all(error <= np.abs(one.values).max((1, 2), keepdims=True) / 250)
        assert spec["signed"] == (one.method == "gradient")
        assert (spec["height"], spec["width"]) == one.values.shape[1:]  # its own resolution


def test_equal_frames_are_stored_once(tmp_path):
    data, _ = read(write_explorer(tmp_path / "page.html", recording(), [], title="Ball"))
    tiles = {number for stack in data["frames"]["index"] for number in stack}
    assert len(tiles) == T + 1  # and the empty one


def test_the_steps_are_told(tmp_path):
    data, _ = read(write_explorer(tmp_path / "page.html", recording(), maps(), title="Ball", action_names=NAMES))
    steps, heads = data["steps"], data["steps"]["heads"]
    assert steps["step"] == [*range(7), *range(5)]
    assert (steps["terminated"], steps["truncated"], steps["life_lost"]) == ([6], [T - 1], [5])
    assert data["episodes"] == [{"id": 4, "first": 0, "count": 7}, {"id": 5, "first": 7, "count": 5}]
    logits = recording().logits
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert heads["kind"] == "probability" and np.allclose(heads["values"], expected, rtol=1e-3)
    assert np.allclose(steps["value"], recording().value, rtol=1e-5)
    assert data["maps"][0]["name"] == "Gradient" and data["maps"][3]["score_name"] == "the logit of the chosen action"


def test_q_is_shown_as_it_is_and_steps_keep_their_numbers(tmp_path):
    q = np.arange(3.0 * T).reshape(T, 3)
    step = np.arange(T) * 10
    data, _ = read(write_explorer(tmp_path / "page.html", recording(logits=None, q=q, step=step), [], title="Ball"))
    assert data["steps"]["heads"] == {"kind": "q", "values": q.tolist()}
    assert data["steps"]["step"] == step.tolist()
    assert data["actions"] == ["action 0", "action 1", "action 2"]


@pytest.mark.parametrize("channels", [2, 3, 4, 6])
def test_frames_of_any_number_of_channels(tmp_path, channels):
    obs = np.random.default_rng(0).integers(0, 256, (T, 6, 5, channels), np.uint8)
    data, sheets = read(write_explorer(tmp_path / "page.html", recording(obs=obs, stack=1), [], title="Planes"))
    spec, planar = data["frames"], channels != 3
    assert (spec["width"], spec["channels"], spec["stack"]) == (5, channels, 1)
    seen = tile(spec, sheets, spec["index"][4][0], 5 * channels if planar else 5)
    assert np.array_equal(seen[..., 0].reshape(6, channels, 5).swapaxes(1, 2) if planar else seen, obs[4])


def test_maps_are_read_a_slice_at_a_time(tmp_path):
    class Lazy:
        shape = (T, 4, 4)
        read = 0

        def __getitem__(self, rows):
            self.read += rows.stop - rows.start
            return np.ones((T, 4, 4), np.float32)[rows]

    lazy = Lazy()
    write_explorer(tmp_path / "page.html", recording(), [MapSeries("grad_cam", "value", lazy)], title="Ball")
    assert lazy.read == T


def test_no_word_of_the_run_can_break_the_page(tmp_path):
    words = '</script><script>alert(1)</script><!-- "quoted" \u2028'
    path = write_explorer(tmp_path / "page.html", recording(), maps(), title=words, facts={words: words})
    data, _ = read(path)
    assert data["title"] == words and data["facts"] == [[words, words]]
    assert "alert(1)</script>" not in path.read_text()


def test_a_page_written_again_leaves_nothing_behind(tmp_path):
    path = tmp_path / "page.html"
    write_explorer(path, recording(), maps(), title="Ball", inline_limit=2)
    (tmp_path / "page_files" / "mine.txt").write_text("kept")
    write_explorer(path, recording(), maps(), title="Ball")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["mine.txt", "page.html", "page_files"]


def test_a_page_that_fails_leaves_the_old_one(tmp_path):
    path = write_explorer(tmp_path / "page.html", recording(), maps(), title="Ball")
    before = path.read_bytes()
    broken = maps()[0].values.copy()
    broken[9, 0, 0] = np.inf
    with pytest.raises(ValueError, match="gradient-value, counted from row 0: Map 9 holds NaN"):
        write_explorer(path, recording(), [MapSeries("gradient", "value", broken)], title="Ball")
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_what_does_not_belong_together_is_refused(tmp_path):
    path = tmp_path / "page.html"
    with pytest.raises(ValueError, match="2 action names for 3 actions"):
        write_explorer(path, recording(), [], title="Ball", action_names=NAMES[:2])
    with pytest.raises(ValueError, match="action holds 2, but the heads have 2 columns"):
        write_explorer(path, recording(logits=np.zeros((T, 2))), [], title="Ball")
    with pytest.raises(ValueError, match="the recording has 12 steps"):
        write_explorer(path, recording(), maps(5), title="Ball")


def test_the_page_asks_for_nothing_from_outside(tmp_path):
    text = write_explorer(tmp_path / "page.html", recording(), maps(), title="Ball").read_text()
    assert not re.search(r"https?://|@import|src=\"(?!data:)", text)


def test_the_size_of_a_page(tmp_path):
    """The worst maps are noise, 8 bits a cell at most; 64 of them must not weigh more than that and the page itself."""
    steps, rng = 64, np.random.default_rng(0)
    obs = np.repeat(frames()[:1, ..., None], steps, 0).repeat(2, 1).repeat(2, 2)
    still = {name: np.zeros(steps, kind) for name, kind in
             (("action", int), ("reward", float), ("terminated", bool), ("truncated", bool), ("episode", int))}
    noise = MapSeries("gradient", "value", rng.uniform(-1, 1, (steps, 32, 32)))
    one = recording(obs=obs, stack=1, rgb=None, value=None, logits=None, life_lost=None, **still)
    empty = page_size(write_explorer(tmp_path / "a.html", one, [], title="Still"))
    full = page_size(write_explorer(tmp_path / "b.html", one, [noise], title="Still"))
    assert empty < 90_000
    assert full - empty < steps * 32 * 32 * 4 / 3 * 1.03 + 3000
