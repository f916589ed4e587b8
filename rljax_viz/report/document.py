"""What the explorer page reads: one JSON document, in `<script id="page">`. A reader ignores what it does not know.

    {"format": "rljax-viz-explorer", "version": 1, "title", "facts": [[name, text]],
     "actions": [name], "palette": [[r, g, b]], "folder": null or the folder of the atlases,
     "episodes": [{"id", "first", "count"}],
     "steps": {"step", "action", "reward", "value" or null: [T]; "terminated", "truncated", "life_lost": [row];
               "heads": null or {"kind": "probability" or "q", "values": [[A]]}},
     "frames": TILES + {"channels", "stack", "index": [[tile, oldest first]]},
     "rgb": null or TILES,                                    tile t is step t
     "maps": [TILES + {"method", "name", "short", "score", "score_name", "layer", "units", "about", "signed",
                       "channels": 1, "scale": [T * channels]}]}   tile t * channels + channel
    TILES = {"height", "width", "columns", "per_atlas", "atlases": [id]}

Frames of 1 or 3 channels are pictures; of another number a tile holds their planes side by side, `channels * width`
wide. A map's byte b stands for (b - 128) / 127 * scale[tile]. Atlas `id` is base64 webp in `<script id="atlas-ID">`, or
in `folder/atlas-ID.js`, and is decoded only when one of its tiles is shown: a page with many layers and channels costs
what is looked at.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .overlay import PALETTE
from .recording import MapSeries, Recording
from .tiles import MapSource, Source
from .words import method_name, method_words, score_words, short_name


def document(
    recording: Recording, frames: Source, index: np.ndarray, rgb: Source | None, maps: Sequence[MapSource],
    names: Sequence[str], title: str, facts: Mapping[str, Any], folder: str | None,
) -> dict[str, Any]:
    """The document; the sources have been read to the end."""
    channels = recording.newest.shape[-1]
    # a tile of planes is wider than the frame it holds
    about_frames = {"width": recording.newest.shape[2], "channels": channels, "stack": recording.stack}
    return {
        "format": "rljax-viz-explorer", "version": 1, "title": title, "folder": folder, "actions": list(names),
        "facts": [[str(name), str(text)] for name, text in facts.items()], "palette": PALETTE.tolist(),
        "episodes": _episodes(recording), "steps": _steps(recording),
        "frames": frames.spec | about_frames | {"index": index.tolist()},
        "rgb": None if rgb is None else rgb.spec,
        "maps": [source.tiles.spec | _describe(source.series, names) | _levels(source) for source in maps],
    }


def as_json(document: Mapping[str, Any]) -> str:
    """Text that may stand in a script element: no word of the run can end it."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _describe(series: MapSeries, names: Sequence[str]) -> dict[str, Any]:
    about = method_words(series.method, series.score, names) if series.about is None else series.about
    return {"method": series.method, "name": method_name(series.method), "short": short_name(series.method),
            "score": series.score, "score_name": score_words(series.score, names), "layer": series.layer,
            "units": series.units, "about": about, "channels": 1}


def _levels(source: MapSource) -> dict[str, Any]:
    # str gives the shortest digits that bring the float32 back
    return {"signed": source.signed, "scale": [float(str(scale)) for scale in source.scale]}


def _episodes(recording: Recording) -> list[dict[str, int]]:
    first = np.concatenate([[0], np.flatnonzero(np.diff(recording.episode)) + 1])
    count = np.diff(np.concatenate([first, [len(recording)]]))
    rows = zip(first.tolist(), count.tolist(), strict=True)
    return [{"id": int(recording.episode[start]), "first": start, "count": n} for start, n in rows]


def _steps(recording: Recording) -> dict[str, Any]:
    step = recording.step
    if step is None:
        step = np.concatenate([np.arange(episode["count"]) for episode in _episodes(recording)])
    flags = {name: getattr(recording, name) for name in ("terminated", "truncated", "life_lost")}
    rows = {name: [] if flag is None else np.flatnonzero(flag).tolist() for name, flag in flags.items()}
    value = None if recording.value is None else _rounded(recording.value, 6)
    return {"step": step.tolist(), "action": recording.action.tolist(), "reward": _rounded(recording.reward, 6),
            "value": value, "heads": _heads(recording)} | rows


def _heads(recording: Recording) -> dict[str, Any] | None:
    if recording.logits is not None:
        logits = recording.logits.astype(np.float64)
        exps = np.exp(logits - logits.max(-1, keepdims=True))
        return {"kind": "probability", "values": _rounded(exps / exps.sum(-1, keepdims=True), 4)}
    return None if recording.q is None else {"kind": "q", "values": _rounded(recording.q, 6)}


def _rounded(values: np.ndarray, digits: int) -> Any:
    """Significant digits that a person can see: a page of 5,000 steps need not carry sixteen."""
    return np.vectorize(lambda x: float(f"{x:.{digits}g}"), otypes=[float])(values).tolist()
