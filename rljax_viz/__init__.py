"""What a deep-RL agent sees, why it acts, and where it will fail.

`rljax_viz.show(obs, map)` is a picture in one line; `rljax_viz.open(run)` gives a run's frames, outputs and maps.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "open", "show"]


def __getattr__(name: str) -> Any:
    # imported when asked for, so that `import rljax_viz` stays quick and needs no environment
    if name == "show":
        from rljax_viz.report import show

        return show
    if name == "open":
        from rljax_viz.runs import open_run

        return open_run
    raise AttributeError(f"module 'rljax_viz' has no attribute {name!r}; it has {__all__}")
