"""The explorer: one page that shows, step by step, the game, what the agent saw, and why it acted.

One HTML file, without a server or a network; past `inline_limit` steps its pictures lie beside it. What it reads is
described in `document.py`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TextIO

from .atlas import atlases
from .document import as_json, document
from .recording import MapSeries, Recording, check_maps
from .tiles import Source, frame_source, map_sources, rgb_source

SCRIPTS = ("explorer_data.js", "explorer_draw.js", "explorer_charts.js", "explorer_app.js", "explorer_setup.js")


def write_explorer(
    path: str | os.PathLike[str],
    recording: Recording,
    maps: Sequence[MapSeries],
    *,
    title: str,
    facts: Mapping[str, Any] | None = None,
    action_names: Sequence[str] | None = None,
    inline_limit: int = 5000,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """The explorer page of `recording` and its `maps` at `path`; `page_size` tells what it weighs.

    facts         what a reader should know of the run (environment, preset, agent, score, seed), in this order: the
                  first few stand in the page's head
    action_names  a name for each action; None numbers them
    inline_limit  past this many steps the atlases are written as `.js` files to `<name>_files` beside the page, because
                  a browser would hold all of them in memory; move the two together
    progress      called with (atlases written, atlases in all)

    Raises ValueError if maps and recording do not belong together, a map is not finite, or names are missing.
    """
    path = Path(path)
    check_maps(recording, maps)
    names = _action_names(recording, action_names)
    frames, index = frame_source(recording)
    rgb = None if recording.rgb is None else rgb_source(recording.rgb)
    series = map_sources(maps)
    sources = [frames, *([rgb] if rgb else []), *(one.tiles for one in series)]
    folder = path.with_name(f"{path.stem}_files")
    _remove_atlases(folder)
    beside = folder if len(recording) > inline_limit else None
    if beside:
        beside.mkdir(exist_ok=True)

    temporary = path.with_name(path.name + ".part")  # a page that is half written never stands at `path`
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as page:
            head, tail = _template()
            page.write(head)
            _write_atlases(page, beside, sources, progress)
            data = document(recording, frames, index, rgb, series, names, title, facts or {}, beside and beside.name)
            page.write(f'<script type="application/json" id="page">{as_json(data)}</script>\n')
            page.write(tail)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def page_size(path: str | os.PathLike[str]) -> int:
    """Bytes of a page together with the atlases beside it."""
    path = Path(path)
    beside = path.with_name(f"{path.stem}_files").glob("atlas-*.js")
    return path.stat().st_size + sum(atlas.stat().st_size for atlas in beside)


def _action_names(recording: Recording, names: Sequence[str] | None) -> list[str]:
    needed, taken = recording.num_actions, int(recording.action.max()) + 1
    if needed < taken:
        raise ValueError(f"action holds {taken - 1}, but the heads have {needed} columns: these are not the logits (or "
                         "q) of this recording.")
    if names is None:
        return [f"action {i}" for i in range(needed)]
    if len(names) < needed:
        raise ValueError(f"{len(names)} action names for {needed} actions: {list(names)}. Pass the environment's own: "
                         "`action_names=env.action_names`.")
    return [str(name) for name in names]


def _template() -> tuple[str, str]:
    """The page before and after its data."""
    package = files("rljax_viz.report")
    read = lambda name: (package / name).read_text(encoding="utf-8")  # noqa: E731
    script = "\n".join(read(name) for name in SCRIPTS)
    page = read("explorer.html").replace("/* explorer.css */", read("explorer.css"))
    page = page.replace("/* scripts */", f'(() => {{\n"use strict";\n{script}\n}})();')
    head, _, tail = page.partition("<!-- data -->\n")
    return head, tail


def _write_atlases(
    page: TextIO, beside: Path | None, sources: Sequence[Source], progress: Callable[[int, int], None] | None
) -> None:
    total = sum(-(-source.count // source.per_atlas) for source in sources)
    number = 0
    for source in sources:
        for text in atlases(source.read, source.count, source.per_atlas, lossy=source.lossy):
            if beside:
                (beside / f"atlas-{number}.js").write_text(f'rljaxAtlas({number},"{text}")\n', encoding="ascii")
            else:
                page.write(f'<script type="text/plain" id="atlas-{number}">{text}</script>\n')
            source.atlases.append(number)
            number += 1
            if progress:
                progress(number, total)


def _remove_atlases(folder: Path) -> None:
    """What an earlier page of this name left; nothing else in the folder is touched."""
    if folder.is_dir():
        for old in folder.glob("atlas-*.js"):
            old.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
