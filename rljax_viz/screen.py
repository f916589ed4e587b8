"""What the commands show: bars, tables, and lines where the output is not a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runs import Progress


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """`watch(what, done, all)` draws one bar for each `what`; `all` of 0 counts without an end."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
        tasks: dict[str, Any] = {}

        def watch(what: str, done: int, all: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=all or None)
            progress.update(tasks[what], completed=done)

        yield watch


@contextmanager
def training_watch() -> "Iterator[Callable[[Progress], None]]":
    """One live line: return, steps a second, time left; a line a minute where the output is not a terminal."""
    import time

    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    recent: list[float] = []
    marks: list[tuple[float, int]] = []
    printed = [0.0]
    with Progress(*columns, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("compiling", total=None)

        def watch(progress: "Progress") -> None:
            returns = progress.row["return"]
            found = [r for r in (returns if isinstance(returns, list) else [returns]) if r is not None]
            recent.extend([sum(found) / len(found)] if found else [])
            del recent[:-20]
            marks.append((time.monotonic(), progress.steps))
            del marks[:-20]
            (t0, s0), (t1, s1) = marks[0], marks[-1]
            speed = (s1 - s0) / max(t1 - t0, 1e-9)
            mean = f"{sum(recent) / len(recent):.2f}" if recent else "none yet"
            text = f"{progress.steps:,} steps  return {mean}  " + (f"{speed:,.0f} steps/s" if speed else "compiled")
            bar.update(task, description=text, total=progress.num_updates, completed=progress.update)
            last = progress.update == progress.num_updates
            if not sys.stdout.isatty() and (last or t1 - printed[0] > 60):
                left = (progress.num_updates - progress.update) * progress.steps / progress.update / max(speed, 1e-9)
                print(f"{text}  {left / 60:.0f} min left" if speed else text, flush=True)
                printed[0] = t1

        yield watch


def print_explained(done: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("method", "score", "layer", "frames", "there before", "frames/s")
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for one in done:
        speed = f"{one.frames_per_second:,.0f}" if one.frames_per_second else "-"
        table.add_row(one.method, one.score, one.layer or "", str(one.frames), str(one.skipped), speed)
    Console().print(table)


def print_estimates(estimates: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("method", "score", "layer", "frames to do", "seconds", "GB at most")
    table.columns[0].no_wrap = True
    for one in estimates:
        seconds, size = f"{one.seconds:,.0f}", f"{one.gigabytes:.3g}"
        table.add_row(one.method, one.score, one.layer or "", f"{one.frames:,}", seconds, size)
    Console().print(table)
    seconds, size = sum(one.seconds for one in estimates), sum(one.gigabytes for one in estimates)
    print(f"{seconds:,.0f} s ({seconds / 3600:.2g} h) on this machine, {size:.3g} GB at most; nothing was written")


def print_episodes(path: Path) -> None:
    from .store import Episodes

    episodes = Episodes(path)
    for game in episodes.episodes:
        ended = "" if game.ended else " (cut short)"
        print(f"game {game.id}: return {game.episode_return:g} in {game.length} steps{ended}")
    print(f"{len(episodes)} steps in {path}")


def print_gaze(results: list[Any]) -> None:
    """Means of the three metrics, and on how many steps each is undefined."""
    from rich.console import Console
    from rich.table import Table

    table = Table("trial", "method", "score", "steps", "NSS", "KL", "sAUC", "undefined")
    _keep_numbers(table, but=(1, 2))
    for one in results:
        means = [f"{mean:.3f}" for mean in one.means]
        table.add_row(str(one.trial), one.method, one.score, str(one.steps), *means, "/".join(map(str, one.undefined)))
    Console().print(table)


def _keep_numbers(table: Any, but: tuple[int, ...]) -> None:
    """On a narrow screen only the columns `but` are broken into lines, the others stay whole."""
    for at, column in enumerate(table.columns):
        if at in but:
            column.overflow, column.min_width = "fold", 8
        else:
            column.no_wrap = True


def print_agreement(found: list[Any]) -> None:
    """Mean correlations of pairs of methods, and on how many frames they are undefined."""
    from rich.console import Console
    from rich.table import Table

    table = Table("map", "against", "frames", "Pearson", "Spearman", "undefined")
    _keep_numbers(table, but=(0, 1))
    for one in found:
        means = (f"{one.pearson:.3f}", f"{one.spearman:.3f}")
        table.add_row(one.left, one.right, str(one.frames), *means, str(one.undefined))
    Console().print(table)


def print_health(checkups: list[Any]) -> None:
    """The numbers of a few checkpoints, evenly spread, the newest last; below, what its looks and faults mean."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console, last = Console(), checkups[-1]
    some = _spread(checkups, max(2, min(6, (console.width - 40) // 10)))
    names = ["now" if one.update is None else f"update {one.update}" for one in some]
    table, colour = Table("check", *names, ""), {"ok": "green", "look": "yellow", "fault": "red"}
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    of = [{(one.check, one.where): one for one in checkup.findings} for checkup in some]
    for check in dict.fromkeys(one.check for one in last.findings):
        table.add_row(f"[bold]{escape(check)}[/]")
        for one in (one for one in last.findings if one.check == check):
            each = [found.get((one.check, one.where)) for found in of]
            cells = ["" if cell is None else f"[{colour[cell.verdict]}]{cell.number:.3g}[/]" for cell in each]
            table.add_row(f"  {escape(one.where)}", *cells, f"[{colour[one.verdict]}]{one.verdict}[/]")
    console.print(table)
    for one in (one for kind in ("fault", "look") for one in last.findings if one.verdict == kind):
        since = next(k for k in checkups if any(f[:2] == one[:2] and f.verdict == one.verdict for f in k.findings))
        when = f", since update {since.update}" if since.update is not None and len(checkups) > 1 else ""
        console.print(f"[{colour[one.verdict]}]{one.verdict}[/] {escape(f'{one.check}, {one.where}: {one.says}{when}')}")
    print(f"{len(last.faults)} faults" if last.faults else "no fault")


def _spread(checkups: list[Any], most: int) -> list[Any]:
    """At most so many of them, evenly spread, the first and the last among them."""
    count = min(most, len(checkups))
    return [checkups[round(k * (len(checkups) - 1) / max(count - 1, 1))] for k in range(count)]


def print_agents(cards: dict[str, dict[str, Any]]) -> None:
    """The agents of the zoo, by their cards."""
    from rich.console import Console
    from rich.table import Table

    table = Table("agent", "algorithm", "network", "steps", "score", "games")
    table.columns[0].no_wrap = True
    for name, card in cards.items():
        score = card["score"]
        row = (card["algo"], card["network"], f"{card['steps']:,}", f"{score['mean']:g} +- {score['std']:g}")
        table.add_row(f"zoo:{name}", *row, str(score["episodes"]))
    Console().print(table)


def print_findings(findings: list[Any]) -> None:
    """What the doctor found."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colour = {"ok": "green", "missing": "yellow", "broken": "red"}
    table = Table("what", "state", "", "how to mend it")
    for found in findings:
        table.add_row(found.what, f"[{colour[found.state]}]{found.state}[/]", escape(found.says), escape(found.fix))
    Console().print(table)


def print_reports(reports: list[Any], mend: bool) -> None:
    """What every store holds, what of it is damaged, and what to do."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("store", "rows", "there", "damaged", "not finite", "")
    table.columns[0].no_wrap = True
    for report in reports:
        damaged, faults = int(report.damaged.sum()), "; ".join(map(str, report.faults))
        bad = f"{report.not_finite:,}" + (f" (first: {report.first_not_finite})" if report.not_finite else "")
        row = (f"{report.rows:,}", f"{report.written:,}", f"{damaged:,}", bad, escape(faults))
        table.add_row(report.path.name, *row)
    Console().print(table)
    for report in reports:
        for note in report.notes:
            print(f"{report.path}: {note}")
    for report in (report for report in reports if report.faults):
        maps = report.path.parent.name == "maps"
        mended = "damaged maps were thrown away" if mend else "`--mend` throws damaged maps away"
        fix = f"{mended}, and the same explain command makes them again" if maps else "put the files back, or record anew"
        print(f"{report.path}: {fix}")
