"""How Qt is found, and what is said where it is not. Needs no Qt: the loader is shown machines that lack it."""

import ctypes
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rljax_viz.envs.qt import load_procgen, load_qt

LIBRARIES = ("libicudata.so.56", "libicuuc.so.56", "libicui18n.so.56", "libQt5Core.so.5", "libQt5Gui.so.5")


@pytest.fixture
def machine(monkeypatch):
    """`machine(can_load, folder)`: a machine on which ctypes loads what `can_load(path)` says, PyQt5 lying in `folder`."""
    loaded: list[str] = []

    def become(can_load, folder: Path | None) -> list[str]:
        def load(path: str, mode: int = ctypes.DEFAULT_MODE):
            if not can_load(path):
                raise OSError(f"{path}: cannot open shared object file")
            loaded.append(path)
            assert path == LIBRARIES[-1] or mode == ctypes.RTLD_GLOBAL  # or Procgen would not find its symbols

        spec = SimpleNamespace(submodule_search_locations=[str(folder)]) if folder else None
        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
        return loaded

    return become


def pyqt5(folder: Path) -> Path:
    (folder / "Qt5" / "lib").mkdir(parents=True)
    for name in LIBRARIES:
        (folder / "Qt5" / "lib" / name).touch()
    return folder


def test_the_systems_own_qt_comes_first(machine, tmp_path):
    loaded = machine(lambda path: True, pyqt5(tmp_path))
    assert load_qt() == "system" and loaded == [LIBRARIES[-1]]


def test_the_wheels_libraries_are_loaded_each_before_what_needs_it(machine, tmp_path):
    loaded = machine(lambda path: "/" in path, pyqt5(tmp_path))
    folder = tmp_path / "Qt5" / "lib"
    assert load_qt() == str(folder) and loaded == [str(folder / name) for name in LIBRARIES]


@pytest.mark.parametrize("installed", [False, True])
def test_no_qt_says_how_to_get_it(machine, installed, tmp_path):
    machine(lambda path: False, tmp_path if installed else None)  # True: PyQt5 without the libraries
    with pytest.raises(ImportError, match=r"pip install 'rljax-viz\[procgen\]'.*libGL.so.1.*apt-get install libqt5gui5"):
        load_qt()


def test_a_missing_system_library_is_named_with_its_package(machine, tmp_path):
    machine(lambda path: "/" in path and "Gui" not in path, pyqt5(tmp_path))
    with pytest.raises(ImportError, match=r"libQt5Gui.so.5 of PyQt5-Qt5 cannot be loaded.*apt-get install libgl1 "):
        load_qt()


AFTER = """
import envpool.procgen  # without Qt in sight, envpool remembers that it could not be imported
from rljax_viz import envs
assert "CoinrunHard-v0" in envs.list_envs("envpool-procgen")
env = envs.make("CoinrunHard-v0", 1)
import jax
print(env.reset(jax.random.key(0))[1].obs.mean() > 0)
"""


def test_envpool_may_have_been_imported_before():
    try:
        load_procgen()
    except ImportError as error:
        pytest.skip(f"no Qt here: {error}")
    done = subprocess.run([sys.executable, "-c", AFTER], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "True", done.stderr
