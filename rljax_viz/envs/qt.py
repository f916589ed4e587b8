"""Procgen is linked to Qt 5; this finds Qt without root, or says in one sentence how to get it."""

import ctypes
import importlib
import importlib.util
import sys
from pathlib import Path

_LIBRARIES = ("libicudata.so.56", "libicuuc.so.56", "libicui18n.so.56", "libQt5Core.so.5", "libQt5Gui.so.5")
_FIX = (
    "Procgen needs the Qt 5 libraries. Without root: pip install 'rljax-viz[procgen]' (it also needs the system's "
    "libGL.so.1 and glib); on Debian and Ubuntu with root: apt-get install libqt5gui5"
)


def load_qt() -> str:
    """Makes Qt 5 loadable for this process; gives where it was found, "system" or a folder.

    Raises ImportError with the fix when there is none.
    """
    try:
        ctypes.CDLL("libQt5Gui.so.5")
        return "system"
    except OSError:
        pass
    spec = importlib.util.find_spec("PyQt5")
    folders = [Path(place) / "Qt5" / "lib" for place in (spec.submodule_search_locations or [])] if spec else []
    for folder in folders:
        if not (folder / _LIBRARIES[-1]).exists():
            continue
        for name in _LIBRARIES:
            try:
                ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                raise ImportError(
                    f"{name} of PyQt5-Qt5 cannot be loaded: {error}. Debian and Ubuntu: "
                    "apt-get install libgl1 libglib2.0-0; or take the system's Qt: apt-get install libqt5gui5"
                ) from error
        return str(folder)
    raise ImportError(_FIX)


def load_procgen() -> None:
    """Makes envpool's Procgen importable, also where envpool was imported before Qt could be found."""
    load_qt()
    module = sys.modules.get("envpool.procgen")
    if module is not None and getattr(module, "_PROCGEN_IMPORT_ERROR", None) is not None:
        importlib.reload(module)
