"""Commands whose result is a page, or a word about this machine."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ..screen import bars, print_explained, print_findings


def report(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="a directory with games and maps")],
    max_steps: Annotated[int, arg(help="of a longer recording, the steps around rewards, lost lives and ends")] = 2000,
    video: Annotated[bool, arg(help="write saliency.mp4 too")] = True,
) -> None:
    """Write the explorer page (report.html, one file, no server), gallery.png and the video (saliency.mp4) of a run.

    Example: rljax-viz report runs/demo
    """
    from ..report import page_size
    from ..runs import report_run

    with bars() as watch:
        page, film = report_run(run, max_steps=max_steps, video=video, watch=watch)
    print(f"{page.resolve()} ({page_size(page) / 1e6:.1f} MB){f' and {film.resolve()}' if film else ''}")


def demo(
    agent: Annotated[str | None, arg(help="zoo:NAME or a run's directory; by default the best real game of the zoo")] = None,
    out: Annotated[Path, arg(help="directory to write to")] = Path("runs/demo"),
    max_frames: Annotated[int, arg(help="steps explained at most")] = 600,
    seed: int = 0,
) -> None:
    """A trained agent plays a real game, six methods explain it, and a page shows what it saw.

    Example: rljax-viz demo
    """
    from .. import zoo
    from ..runs import run_demo

    if agent is None:
        agent = f"zoo:{next((name for name in ('Breakout-v5', 'Pong-v5') if name in zoo.names()), 'Breakout-MinAtar')}"
    with bars() as watch:
        made = run_demo(out, agent, max_frames=max_frames, seed=seed, watch=watch)
    print(f"{made.agent.name} played {made.episode_steps} steps, return {made.episode_return:g}")
    print_explained(made.explained)
    print(f"{made.explained_steps} steps explained; {made.seconds:.0f} s in all; page {made.page_bytes / 1e6:.1f} MB")
    print(f"Open in a browser: {made.page.resolve()}")
    if made.video:
        print(f"Video: {made.video.resolve()}")


def doctor() -> None:
    """Say what works on this machine, what does not, and how to mend it.

    Example: rljax-viz doctor
    """
    from ..runs import diagnose

    findings = diagnose()
    print_findings(findings)
    if any(found.state == "broken" for found in findings):
        raise SystemExit(1)
