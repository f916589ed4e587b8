"""The same sheet, step after step: saliency.mp4."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

from .film import encode
from .overlay import colours
from .recording import MapSeries, Recording, check_maps
from .words import method_name, score_words

SCALINGS = ("frame", "episode", "global")


def write_video(
    path: str | os.PathLike[str],
    recording: Recording,
    maps: Sequence[MapSeries],
    *,
    title: str = "",
    action_names: Sequence[str] = (),
    fps: int = 15,
    scaling: str = "frame",
    opacity: float = 0.6,
    side: int = 252,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """An H.264 video of the game, the agent's frame, and each series of maps over it; any browser plays it.

    scaling   what has the full colour: the largest magnitude of the "frame", of its "episode", or of all ("global")
    progress  called with (steps written, steps in all)

    Raises ValueError for maps of another recording or an unknown scaling, RuntimeError if the encoder fails.
    """
    from .panels import Sheet, cell_size, columns_for, map_over

    check_maps(recording, maps)
    if scaling not in SCALINGS:
        raise ValueError(f"scaling={scaling!r}; expected one of {', '.join(SCALINGS)}.")
    frame = recording.newest[0]
    labels = ["What the agent sees", *(_label(series, action_names) for series in maps)]
    aspect = None if recording.rgb is None else recording.rgb.shape[2] / recording.rgb.shape[1]
    sheet = Sheet(labels, cell_size(frame, side), columns_for(len(labels)), aspect, title or " ",
                  "Green speaks for the score, red against it. "
                  f"The full colour is each map's largest value of the {_OF[scaling]}.")
    scales = [_scales(series, recording.episode, scaling) for series in maps]

    def pictures() -> Iterator[np.ndarray]:
        for t in range(len(recording)):
            newest = recording.newest[t]
            over = [map_over(newest, np.asarray(series.values[t], np.float32), opacity, float(scale[t]))
                    for series, scale in zip(maps, scales, strict=True)]
            picture = sheet.draw([colours(newest), *over], None if recording.rgb is None else recording.rgb[t])
            _write_words(picture, recording, t, action_names, title)
            yield np.asarray(picture)
            if progress:
                progress(t + 1, len(recording))

    return encode(Path(path), pictures(), sheet.size, fps)


_OF = {"frame": "step", "episode": "episode", "global": "whole video"}


def _label(series: MapSeries, action_names: Sequence[str]) -> str:
    layer = f" {series.layer}" if series.layer else ""
    return f"{method_name(series.method)}{layer}, {score_words(series.score, action_names)}"


def _scales(series: MapSeries, episode: np.ndarray, scaling: str) -> np.ndarray:
    """[T]: the value of the full colour at each step."""
    largest = np.array([np.abs(np.asarray(series.values[t], np.float32)).max() for t in range(len(episode))])
    if scaling == "global":
        return np.full(len(episode), largest.max())
    if scaling == "episode":
        return np.array([largest[episode == e].max() for e in episode])
    return largest


def _write_words(picture: "Image", recording: Recording, t: int, names: Sequence[str], title: str) -> None:
    """What happens at the step, at the right of the head."""
    from PIL import ImageDraw

    from .panels import PAGE, SOFT, fitted, font

    action = int(recording.action[t])
    step = t if recording.step is None else int(recording.step[t])
    name = names[action] if action < len(names) else f"action {action}"
    words = f"step {step}   {name}   reward {recording.reward[t]:+g}"
    if recording.value is not None:
        words += f"   value {recording.value[t]:.2f}"
    pen = ImageDraw.Draw(picture)
    room = picture.width - 40 - (font(22).getlength(title) if title else 0)
    words = fitted(words, 16, max(room, 260))
    left = picture.width - 12 - font(16).getlength(words)
    pen.rectangle((left - 16, 8, picture.width, 46), fill=PAGE)  # a long title gives way
    pen.text((picture.width - 12, 27), words, SOFT, font(16), anchor="rm")
