import re
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from rljax_viz.report import MapSeries, write_video
from rljax_viz.report.video import _scales

from .play import NAMES, T, maps, recording


def read(path):
    """The video's pictures, decoded. By a plain process: imageio's reader forks, which jax warns of."""
    told = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)], capture_output=True, text=True).stderr
    width, height = map(int, re.search(r"Video: h264.*? yuv420p.*?, (\d+)x(\d+)", told).groups())
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path)]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return told, np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3).astype(int)


def test_the_video_reads_back(tmp_path):
    calls = []
    path = write_video(
        tmp_path / "saliency.mp4", recording(), maps()[:2], title="Ball", action_names=NAMES, fps=5, side=64,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    told, pictures = read(path)
    assert len(pictures) == T and calls == [(t + 1, T) for t in range(T)]
    assert "5 fps" in told and pictures.shape[1] % 2 == pictures.shape[2] % 2 == 0
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == T
    assert [p.name for p in tmp_path.iterdir()] == ["saliency.mp4"]


def test_the_maps_are_green_and_red_in_the_video(tmp_path):
    values = np.zeros((T, 16, 16))
    values[:, :8], values[:, 8:] = 1.0, -1.0
    one = recording(rgb=None, obs=np.zeros((T, 16, 16, 4), np.uint8))
    path = write_video(tmp_path / "a.mp4", one, [MapSeries("gradient", "value", values)], side=64)
    picture = read(path)[1][T // 2]
    x = 12 + 64 + 12 + 32  # the middle of the second cell
    top, bottom = picture[52 + 26 + 16, x], picture[52 + 26 + 48, x]
    assert top[1] > top[0] + 60 and bottom[0] > bottom[1] + 60


def test_scales():
    values = np.ones((4, 2, 2)) * np.array([1.0, -3.0, 2.0, 0.5])[:, None, None]
    series, episode = MapSeries("gradient", "value", values), np.array([0, 0, 1, 1])
    assert _scales(series, episode, "frame").tolist() == [1, 3, 2, 0.5]
    assert _scales(series, episode, "episode").tolist() == [3, 3, 2, 2]
    assert _scales(series, episode, "global").tolist() == [3, 3, 3, 3]


def test_a_video_is_refused_or_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="scaling='video'; expected one of frame, episode, global"):
        write_video(tmp_path / "a.mp4", recording(), maps(), scaling="video")
    with pytest.raises(ValueError, match="the recording has 12 steps"):
        write_video(tmp_path / "a.mp4", recording(), maps(5))
    broken = maps()[0].values.copy()
    broken[4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        write_video(tmp_path / "a.mp4", recording(), [MapSeries("gradient", "value", broken)], side=64)
    assert not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match=r"(?s)encoder stopped .*No such file or directory.*Is the folder there"):
        write_video(tmp_path / "missing" / "a.mp4", recording(), maps()[:1], side=64)
