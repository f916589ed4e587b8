"""Recordings leave and come back as they were; what cannot be read is refused with the fix."""

import dataclasses

import numpy as np
import pytest

from rljax_viz.envs import Preset, make_preset
from rljax_viz.runs import export_recording, import_recording
from rljax_viz.store import Episodes, create_episodes

N = 40
PRESET = make_preset("baselines", "Pong-v5", height=20, width=16)
COLOUR = make_preset("plain", "Pong-v5", height=20, width=16, stack=2, padding="zeros")  # three colours a frame


def recorded(run, preset, seed=0, cut=False):
    rng = np.random.default_rng(seed)
    shape = (preset.height, preset.width, 1 if preset.grey else 3)
    starts = np.isin(np.arange(N), (0, 25))
    columns = {
        "action": rng.integers(0, 6, N).astype(np.int32), "reward": rng.normal(size=N).astype(np.float32),
        "terminated": np.arange(N) == 24, "truncated": (np.arange(N) == N - 1) & (not cut),
        "episode": np.cumsum(starts).astype(np.int32) - 1, "value": rng.normal(size=N).astype(np.float32),
        "ram": rng.integers(0, 256, (N, 128), dtype=np.uint8),
    }  # fmt: skip
    attributes = {"agent": "x", "checkpoint": "y", "preset": preset.to_json(), "action_names": list("abcdef")}
    kinds = {name: (values.shape[1:], values.dtype.name) for name, values in columns.items()}
    options = {"stack": preset.stack, "padding": preset.padding, "attributes": attributes, "columns": kinds}
    run.mkdir()
    with create_episodes(run / "episodes.zarr", frame_shape=shape, **options) as writer:
        writer.append(frames=rng.integers(0, 256, (N, *shape), dtype=np.uint8), stack_start=starts, **columns)
    return Episodes(run / "episodes.zarr")


@pytest.mark.parametrize("preset", [PRESET, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("cut", [False, True], ids=["ended", "cut short"])
@pytest.mark.parametrize("name", ["games.npz", "games", "games.mkv", "minari:test/games-v0"])
def test_there_and_back_again_nothing_is_lost(tmp_path, monkeypatch, preset, name, cut):
    if name.startswith("minari"):
        pytest.importorskip("minari")
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    before = recorded(tmp_path / "a", preset, cut=cut)
    target = name if ":" in name else tmp_path / name
    seen = []
    with pytest.warns() if ":" in name else nothing():
        assert f"{N} steps" in export_recording(tmp_path / "a", target, watch=lambda *at: seen.append(at))
    after = Episodes(import_recording(target, tmp_path / "b", preset))
    assert set(after.columns) == set(before.columns) and (seen or name.endswith("npz"))
    for column in before.columns:
        np.testing.assert_array_equal(after[column][:], before[column][:], column)
        assert after[column].dtype == before[column].dtype
    np.testing.assert_array_equal(after.observations[:], before.observations[:])
    assert after.attributes["preset"] == preset.to_json() and after.attributes["checkpoint"] is None
    if ":" not in name:
        with pytest.raises(FileExistsError, match="delete it, or choose another name"):
            export_recording(tmp_path / "a", target)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        import_recording(target, tmp_path / "b", preset)


class nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


def test_a_video_that_loses_a_little(tmp_path):
    before = recorded(tmp_path / "a", PRESET)
    export_recording(tmp_path / "a", tmp_path / "games.mp4")
    after = Episodes(import_recording(tmp_path / "games.mp4", tmp_path / "b", PRESET))
    assert after.frames.shape == before.frames.shape
    np.testing.assert_array_equal(after.action[:], before.action[:])


def save(path, **columns):
    np.savez(path / "g.npz", **columns)
    return path / "g.npz"


FRAMES = np.random.default_rng(3).integers(0, 256, (12, 20, 16, 1), dtype=np.uint8)


def test_whole_stacks_give_their_newest_frame(tmp_path):
    before = recorded(tmp_path / "a", COLOUR)
    columns = {"obs": before.observations[:], "episode": before.episode[:]}
    after = Episodes(import_recording(save(tmp_path, **columns), tmp_path / "b", COLOUR))
    np.testing.assert_array_equal(after.frames[:], before.frames[:])
    np.testing.assert_array_equal(after.observations[:], before.observations[:])
    first = np.moveaxis(before.observations[:], -1, 1)
    source = save(tmp_path, obs=first, episode=before.episode[:])
    with pytest.raises(ValueError, match=r"channels stand first, expected \[N H W c\]. Turn them: --channels-first"):
        import_recording(source, tmp_path / "c", COLOUR)
    turned = Episodes(import_recording(source, tmp_path / "c", COLOUR, channels_first=True))
    np.testing.assert_array_equal(turned.observations[:], before.observations[:])
    with pytest.raises(ValueError, match="the stack of step 25 is not made of the frames before it"):
        import_recording(save(tmp_path, obs=before.observations[:]), tmp_path / "d", COLOUR)


def test_bare_frames_are_enough(tmp_path):
    store = Episodes(import_recording(save(tmp_path, frames=FRAMES[..., 0]), tmp_path / "b", PRESET))
    np.testing.assert_array_equal(store.frames[:], FRAMES)
    assert "action" not in store and store.stack_start[:].tolist() == [True] + [False] * 11
    ends = Episodes(import_recording(save(tmp_path, frames=FRAMES, terminated=np.arange(12) == 5), tmp_path / "c", PRESET))
    assert np.flatnonzero(ends.stack_start[:]).tolist() == [0, 6] and ends.episode[:].tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"frames": FRAMES / 255}, "frames is float64 from 0 to 1, expected uint8 from 0 to 255: multiply by 255 and round"),
        ({"frames": FRAMES.astype(np.int64)}, "frames is int64 .* write them as they were seen"),
        ({"frames": FRAMES[:, :, :10]}, r"frames is \[12, 20, 10, 1\], preset 'baselines' shows \[N, 20, 16, 1\]"),
        ({"frames": np.repeat(FRAMES, 4, -1)}, r"shows \[N, 20, 16, 1\] \(whole stacks are called `obs`\)"),
        ({"frames": FRAMES[0, 0]}, r"expected \[N H W c\]"),
        ({"frames": FRAMES, "action": np.zeros(11, int)}, "column 'action' has 11 rows, there are 12 frames"),
        ({"frames": FRAMES, "action": np.ones(12)}, r"column 'action' is float64\[12\], expected .*astype\(np.int32\)"),
        ({"frames": FRAMES, "action": np.eye(12, dtype=int)}, r"'action' is int64\[12, 12\], .*: np.argmax\(action, -1\)"),
        ({"frames": FRAMES, "action": np.arange(12) + 50}, r"holds 50, 51, 52, 53, 54, ... 61; Pong-v5 has 0 to 5 \(noop"),
        ({"frames": FRAMES, "action": np.arange(12) // 6 - 1}, r"'action' holds -1; Pong-v5 has 0 to 5"),
        ({"frames": FRAMES[:0]}, "holds no frames"),
        ({"pictures": FRAMES}, r"it needs `frames` \[N H W c\] or `obs`"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        import_recording(save(tmp_path, **columns), tmp_path / "b", PRESET)
    assert not (tmp_path / "b").exists()


def test_names_that_say_nothing(tmp_path):
    recorded(tmp_path / "a", PRESET)
    with pytest.raises(ValueError, match=r"'games.txt' does not say what to write: games.npz"):
        export_recording(tmp_path / "a", tmp_path / "games.txt")
    (tmp_path / "games.txt").write_text("")
    with pytest.raises(ValueError, match=r"'games.txt' is no recording"):
        import_recording(tmp_path / "games.txt", tmp_path / "b", PRESET)
    with pytest.raises(FileNotFoundError, match="nothing at"):
        import_recording(tmp_path / "nowhere", tmp_path / "b", PRESET)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no"):
        import_recording(tmp_path / "empty", tmp_path / "b", PRESET)


def test_frames_that_are_no_pictures(tmp_path):
    preset = Preset("Mine", height=20, width=16)
    rng = np.random.default_rng(0)
    source = save(tmp_path, frames=rng.integers(0, 255, (5, 20, 16, 7), dtype=np.uint8), action=np.full(5, 30))
    with pytest.warns(match="no game 'Mine' can be played here.*its actions cannot be checked"):
        import_recording(source, tmp_path / "b", preset)
    preset = dataclasses.replace(preset, env_id="Brekout-v5")
    with pytest.warns(match="'Brekout-v5' can be played here. The nearest names: Breakout-v5"):
        import_recording(source, tmp_path / "c", preset)
    with pytest.raises(ValueError, match=r"frames of 7 channels are no pictures: export to games\.npz"):
        export_recording(tmp_path / "b", tmp_path / "games.mkv")


@pytest.mark.parametrize("damage", ["cut", "emptied", "one array", "objects"])
def test_an_npz_that_is_none(tmp_path, damage):
    path = save(tmp_path, frames=FRAMES, text=np.array([{}] if damage == "objects" else [0]))
    if damage == "one array":
        with path.open("wb") as file:
            np.save(file, FRAMES)
    elif damage != "objects":
        path.write_bytes(path.read_bytes()[: 300 if damage == "cut" else 0])
    with pytest.raises(ValueError, match=r"g.npz cannot be read as an .npz \(.*\): is it cut off\? Copy it again"):
        import_recording(path, tmp_path / "b", PRESET)


def test_only_agents_that_know_the_game_are_offered():
    from rljax_viz.commands.exchanging import _who

    assert _who(make_preset("baselines", "Breakout-v5")) == "zoo:Breakout-v5"
    assert _who(make_preset("machado", "Breakout-v5")) is None
    assert _who(make_preset("baselines", "Brekout-v5")) is None
