"""Agents for experiments: trained once into a folder, taken up again after a kill."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def trained(folder: Path, config: Any, say: Callable[[str], None] = print, max_updates: int | None = None) -> Path:
    """The run of `config` (a `runs.RunConfig`) in `folder`, trained to its end (or for `max_updates`: the agent that the
    whole run has then); what was done before is not done again.

    Raises ValueError where `folder` holds a run with other settings; KeyboardInterrupt where it was stopped on request.
    """
    from rljax_viz.runs import RunConfig, share_cores, train_run

    share_cores(config)
    begun = (folder / "config.json").exists()
    if begun and RunConfig.load(folder).to_json() != config.to_json():
        raise ValueError(f"{folder} holds a run with other settings: remove it, or give the experiment another --out")
    if (folder / "finished").exists():
        return folder
    say(f"{config.algo} with {config.network} learns {config.preset.env_id}, {config.algorithm.steps:,} steps")
    last: list[Any] = []
    told = _every(15.0, say)

    def watch(progress: Any) -> None:
        last[:] = [progress]
        told(progress)

    train_run(config, folder, resume=begun, watch=watch, max_updates=max_updates)
    if last and last[0].update < min(last[0].num_updates, max_updates or last[0].num_updates):
        raise KeyboardInterrupt(f"the training in {folder} was stopped on request; the same command goes on with it")
    (folder / "finished").touch()
    return folder


def _every(seconds: float, say: Callable[[str], None]) -> Callable[[Any], None]:
    """A watcher that says how far a training is, and how it plays, at most once in so many seconds."""
    then = time.monotonic()

    def watch(progress: Any) -> None:
        nonlocal then
        if time.monotonic() - then < seconds:
            return
        then = time.monotonic()
        returns = progress.row["return"]
        ended = [r for r in (returns if isinstance(returns, list) else [returns]) if r is not None]
        plays = f", mean return {sum(ended) / len(ended):.3g}" if ended else ""
        say(f"  {progress.steps:,} steps, {progress.update / progress.num_updates:.0%}{plays}")

    return watch


def curve(folder: Path, window: int = 100) -> tuple[list[int], list[list[float]]]:
    """Baselines' `eprewmean`: `(steps[U], means[seeds U])`, the mean return of the last `window` games at each update.

    Runs keep sums of an update, so games of one update weigh alike; NaN before the first game ends.
    """
    from rljax_viz.runs import read_metrics

    steps = [row["steps"] for row in read_metrics(folder)]
    return steps, [last_games(counts, returns, window).tolist() for counts, returns in read_games(folder)]


def read_games(folder: Path) -> list[tuple[Any, Any]]:
    """Of each seed `(counts[U], returns[U])`: how many games ended in each update, and their mean return (NaN of none)."""
    import numpy as np

    from rljax_viz.runs import read_metrics

    as_list = lambda value: value if isinstance(value, list) else [value]  # noqa: E731
    rows = read_metrics(folder)
    counts = np.array([as_list(row["episodes"]) for row in rows], float)
    returns = np.array([[np.nan if r is None else r for r in as_list(row["return"])] for row in rows], float)
    return list(zip(counts.T, returns.T, strict=True))


def last_games(counts: Any, returns: Any, window: int) -> Any:
    """Mean return of the last `window` games after each update, of `counts[U]` games with mean `returns[U]`; NaN for none."""
    import numpy as np

    counts, returns = np.asarray(counts, float), np.nan_to_num(np.asarray(returns, float))
    games, total = (np.concatenate([[0.0], np.cumsum(of)]) for of in (counts, counts * returns))
    begin = np.maximum(games[1:] - window, 0.0)  # games of one update weigh alike: within it the sum is a straight line
    taken = games[1:] - begin
    return np.divide(total[1:] - np.interp(begin, games, total), taken, out=np.full(len(counts), np.nan), where=taken > 0)


def best(folder: Path, window: int = 100) -> list[float]:
    """The best mean return of `window` games in a row in each seed's training; where fewer ended, of all; NaN for none."""
    import numpy as np

    rows, lines = read_games(folder), curve(folder, window)[1]
    found = []
    for (counts, _), line in zip(rows, lines, strict=True):
        full = np.cumsum(counts) >= window
        found.append(float(np.max(np.array(line)[full])) if full.any() else line[-1])
    return found
