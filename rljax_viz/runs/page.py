"""The explorer page, the video and the pictures of a run: what its store and its maps hold, as arrays for `report`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..explain import METHODS
from ..report import MapSeries, Recording, write_explorer, write_gallery, write_past, write_video
from ..store import Episodes, Maps, Windows, open_maps
from .steps import choose_steps


def lost_lives(episodes: Episodes) -> np.ndarray:
    """bool [N]: the action of this step cost a life, and the game went on; all False where no lives are recorded."""
    lost = np.zeros(len(episodes), bool)
    if "lives" in episodes:
        lives, episode = episodes.lives[:].astype(int), episodes.episode[:]
        lost[:-1] = (lives[1:] < lives[:-1]) & (episode[1:] == episode[:-1])
    return lost


def eventful_steps(episodes: Episodes, limit: int) -> np.ndarray:
    """The rows around rewards, lost lives and ends, at most `limit` of them."""
    events = (episodes.reward[:] != 0) | lost_lives(episodes) | episodes.terminated[:] | episodes.truncated[:]
    return choose_steps(events, limit)


def stored_maps(run: Path) -> list[Maps]:
    """The maps of a run: the sharpest methods first, of each the score of the chosen action first, past frames last."""
    order = ["guided_backprop", "g2_grad_cam", *METHODS]

    def rank(maps: Maps) -> tuple[int, bool, str, int]:
        method, score, past = maps.attributes["method"], maps.attributes["score"], maps.attributes.get("past", 0)
        return order.index(method) if method in order else len(order), not score.endswith(":chosen"), score, past

    return sorted((open_maps(path) for path in sorted((run / "maps").glob("*.zarr"))), key=rank)


def make_recording(episodes: Episodes, rows: np.ndarray) -> Recording:
    """The chosen rows as the arrays that pages and videos are made of."""
    read = lambda name: episodes[name][rows]  # noqa: E731
    perhaps = lambda name: read(name) if name in episodes else None  # noqa: E731
    starts = {e.id: e.start for e in episodes.episodes}
    episode = episodes.episode[rows]
    return Recording(
        obs=episodes.observations[rows], action=_actions(episodes)[rows], reward=read("reward"),
        terminated=read("terminated"), truncated=read("truncated"), episode=episode, stack=episodes.stack,
        rgb=perhaps("rgb"), value=perhaps("value"),
        logits=perhaps("logits"), q=None if "logits" in episodes else perhaps("q"),
        step=rows - np.array([starts[int(e)] for e in episode]), life_lost=lost_lives(episodes)[rows],
    )  # fmt: skip


def _actions(episodes: Episodes) -> Any:
    return episodes.action if "action" in episodes else np.zeros(len(episodes), np.int32)


def action_names(episodes: Episodes) -> list[str]:
    """What the page calls the actions; a recording from elsewhere may hold none."""
    names = episodes.attributes["action_names"]
    return names if "action" in episodes else ["action not recorded", *names[1:]]


def make_series(maps: list[Maps], rows: np.ndarray) -> list[MapSeries]:
    """Those maps that hold all of the chosen rows; of past frames the newest one's, unless there are maps of it alone."""
    found: dict[str, MapSeries] = {}
    for m in maps:
        if not m.done[rows].all():
            continue
        of = m.attributes
        values = newest_of(m, rows) if of.get("past") else m[rows]
        series = MapSeries(of["method"], of["score"], values, of["layer"], of["units"])
        found.setdefault(series.label, series)
    return list(found.values())


def newest_of(maps: Maps, rows: np.ndarray, block: int = 128) -> np.ndarray:
    """[n H W] of the newest frame out of maps [past+1 H W] of the chosen rows; a block at a time."""
    return np.concatenate([maps[rows[at : at + block]][:, -1] for at in range(0, len(rows), block)])


def draw_past(run: Path, episodes: Episodes, maps: list[Maps], row: int, title: str) -> Path | None:
    """`past.png`: all maps of past frames at one step, each over the frame that it belongs to; None where there are none."""
    have = [m for m in maps if m.attributes.get("past") and m.done[row]]
    if not have:
        return None
    starts = np.array([game.start for game in episodes.episodes])
    frames = Windows(starts, max(m.attributes["past"] for m in have)).of(episodes.frames)[row]
    names = {f"{m.attributes['method']}, {m.attributes['score']}": m[row] for m in have}
    return write_past(run / "past.png", frames, names, title=f"{title}, step {row}")


def report_run(
    run: Path,
    *,
    max_steps: int = 2000,
    rows: np.ndarray | None = None,
    video: bool = True,
    watch: Callable[[str, int, int], None] = lambda what, done, all: None,
) -> tuple[Path, Path | None]:
    """Writes `report.html`, `gallery.png` and `saliency.mp4` from what `play --record` and `explain` left, and `past.png`
    where there are maps of past frames.

    Gives the paths of the page and of the video. The gallery is one moment, shortly before a lost life or end.

    Of a recording longer than `max_steps`, the steps around rewards, lost lives and ends are shown.
    Raises FileNotFoundError where nothing is recorded, or no finished maps belong to these steps.
    """
    episodes = Episodes(run / "episodes.zarr")
    all_maps = stored_maps(run)
    if rows is None:
        have = np.logical_and.reduce([m.done for m in all_maps]) if all_maps else np.ones(len(episodes), bool)
        whole = have.all() or not have.any()
        rows = eventful_steps(episodes, max_steps) if whole else np.flatnonzero(have)[:max_steps]
    recording, series = make_recording(episodes, rows), make_series(all_maps, rows)
    if not series:
        raise FileNotFoundError(f"{run} holds no finished maps: rljax-viz explain {run} --method guided_backprop")
    page = write_explorer(
        run / "report.html", recording, series, title=title(episodes), facts=facts(episodes),
        action_names=action_names(episodes), progress=lambda done, all: watch("page", done, all),
    )  # fmt: skip
    moment = shortly_before_a_loss(recording)
    write_gallery(
        run / "gallery.png", recording.newest[moment], {s.method: s.values[moment] for s in _for_video(series)},
        rgb=None if recording.rgb is None else recording.rgb[moment], title=f"{title(episodes)}, step {rows[moment]}",
    )  # fmt: skip
    draw_past(run, episodes, all_maps, int(rows[moment]), title(episodes))
    if not video:
        return page, None
    film = write_video(
        run / "saliency.mp4", recording, _for_video(series), title=title(episodes),
        action_names=action_names(episodes), progress=lambda done, all: watch("video", done, all),
    )  # fmt: skip
    return page, film


def shortly_before_a_loss(recording: Recording, steps: int = 8, history: int = 10) -> int:
    """The row `steps` before the first lost life or end with `history` rows of its game before it, so that there is a past.

    Of the one that has most before it where none has so many; the middle where nothing was lost.
    """
    lost = np.flatnonzero(recording.terminated | recording.life_lost)
    if not len(lost):
        return len(recording) // 2
    _, firsts, game = np.unique(recording.episode, return_index=True, return_inverse=True)
    begin = firsts[game[lost]]
    moments = np.maximum(lost - steps, begin)
    enough = np.flatnonzero(moments - begin >= history)
    return int(moments[enough[0] if len(enough) else (lost - begin).argmax()])


def _for_video(series: list[MapSeries], most: int = 6) -> list[MapSeries]:
    """One score, that of the chosen action where it is there, for as many methods as fit a picture."""
    names = [s.score for s in series]
    score = next((name for name in names if name.endswith(":chosen")), names[0])
    return [s for s in series if s.score == score][:most]


def title(episodes: Episodes) -> str:
    return f"{episodes.attributes['preset']['env_id']}: what the agent sees"


def facts(episodes: Episodes) -> dict[str, Any]:
    """What a reader of the page should know of the run."""
    attributes, games = episodes.attributes, episodes.episodes
    finished = [game.episode_return for game in games if game.ended]
    returns = ", ".join(f"{value:g}" for value in finished[:6]) or "game cut short"
    return {
        "environment": attributes["preset"]["env_id"],
        "return": returns,
        "agent": attributes["agent"],
        "preset": attributes["preset"]["name"],
        "policy": "greedy" if attributes["greedy"] else "stochastic",
        "steps recorded": len(episodes),
        "seed": attributes["seed"],
        "checkpoint": attributes["checkpoint"],
    }
