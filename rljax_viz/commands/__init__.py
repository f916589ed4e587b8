"""What a user can type, one file a family of commands. Everything heavy is imported by the command that needs it."""

from collections.abc import Callable

from .exchanging import export_games, import_games
from .explaining import explain, verify
from .measuring import compare, gaze, health
from .playing import play, zoo
from .showing import demo, doctor, report
from .training import train

#: name -> command, in the order of `rljax-viz --help`. To add one, write a function with a docstring and an example.
COMMANDS: dict[str, Callable] = {
    "demo": demo,
    "train": train,
    "play": play,
    "explain": explain,
    "report": report,
    "verify": verify,
    "gaze": gaze,
    "compare": compare,
    "health": health,
    "import": import_games,
    "export": export_games,
    "zoo": zoo,
    "doctor": doctor,
}

__all__ = [
    "COMMANDS",
    "compare",
    "demo",
    "doctor",
    "explain",
    "export_games",
    "gaze",
    "health",
    "import_games",
    "play",
    "report",
    "train",
    "verify",
    "zoo",
]
