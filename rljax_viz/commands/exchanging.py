"""Commands that take games in from elsewhere, and give them away."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from ..screen import bars, print_episodes

if TYPE_CHECKING:
    from ..envs import Preset


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
    from ..envs import make_preset
    from ..runs import import_recording

    shown = make_preset(preset or _usual_preset(env), env)
    with bars() as watch:
        path = import_recording(
            source, run, shown, channels_first=channels_first, overwrite=overwrite,
            watch=lambda done, all: watch("steps read", done, all),
        )  # fmt: skip
    print_episodes(path)
    who = _who(shown)
    print(f"Next: rljax-viz explain {run} --agent {who or 'WHO'} --method guided_backprop --score value")
    if who is None:
        print("WHO is a run, module:function or FILE.cleanrl_model; the zoo has no agent of this game in this view")


def _usual_preset(env: str) -> str:
    from ..envs import default_preset

    try:
        return default_preset(env)
    except ValueError as error:
        raise ValueError(f"{error}. For a game of your own say how it was shown: --preset plain, or baselines") from None


def _who(shown: "Preset") -> str | None:
    """The agent of the zoo that knows the game in this view, if there is one."""
    from .. import zoo
    from ..envs import Preset, check_same_view

    for name in sorted(zoo.names(), key=lambda name: name != shown.env_id):
        try:
            check_same_view(shown, Preset.from_json(zoo.card(name)["preset"]), name)
        except ValueError:
            continue
        return f"zoo:{name}"
    return None


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
