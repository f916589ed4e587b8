"""Commands that take games in from elsewhere, and give them away."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ..screen import bars, print_episodes


def import_games(
    source: Annotated[Positional[str], arg(metavar="SOURCE", help="games.npz, a folder of PNGs, a video, or minari:NAME")],
    run: Annotated[Positional[Path], arg(metavar="RUN", help="the directory to write to")],
    env: Annotated[str, arg(help="which game it is: Breakout-v5")],
    preset: Annotated[str | None, arg(help="how it was shown; by default the usual one of the game")] = None,
    channels_first: Annotated[bool, arg(help="the frames are [N c H W]")] = False,
    overwrite: Annotated[bool, arg(help="replace what was recorded there before, and its maps")] = False,
) -> None:
    """Take in games that were recorded elsewhere, for `explain --agent`.

    Example: rljax-viz import games.npz runs/games --env Breakout-v5
    """
    from ..envs import default_preset, make_preset
    from ..runs import import_recording

    shown = make_preset(preset or default_preset(env), env)
    with bars() as watch:
        path = import_recording(
            source, run, shown, channels_first=channels_first, overwrite=overwrite,
            watch=lambda done, all: watch("steps read", done, all),
        )  # fmt: skip
    print_episodes(path)
    print(f"Next: rljax-viz explain {run} --agent zoo:{env} --method guided_backprop --score value")


def export_games(
    run: Annotated[Positional[Path], arg(metavar="RUN", help="a directory with recorded games")],
    target: Annotated[Positional[str], arg(metavar="TARGET", help="games.npz, a folder, games.mkv or .mp4, minari:NAME")],
) -> None:
    """Write recorded games for other programs: .npz, a folder of PNGs, a video, or a Minari dataset.

    Example: rljax-viz export runs/demo games.npz
    """
    from ..runs import export_recording

    with bars() as watch:
        print(export_recording(run, target, watch=lambda done, all: watch("steps written", done, all)))
