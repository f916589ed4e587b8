"""Who works on which shards: several processes share one store of maps, and none does what another is doing."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not POSIX: every process does its own, and writes the same
    fcntl = None

LOCK = ".lock"


class Claims:
    """Locks on the shards of the store at `path`, one byte of its file `.lock` for each; they end with the process.

    Claims save work and keep nothing right or wrong: shards are written whole, and every process writes the same into
    them. Where the file system has no locks, every claim is granted. Claims are between processes, not threads.
    """

    def __init__(self, path: str | os.PathLike):
        self._file = os.open(Path(path) / LOCK, os.O_RDWR | os.O_CREAT, 0o666) if fcntl else -1

    def take(self, shards: range) -> bool:
        """Whether all of `shards` are this process's now; False if another one holds any."""
        return self._lock(shards, fcntl.LOCK_EX | fcntl.LOCK_NB) if fcntl else True

    def wait(self, shards: range) -> None:
        """Returns when nobody else holds any of `shards`; takes none. Hold nothing yourself meanwhile."""
        if fcntl and self._lock(shards, fcntl.LOCK_EX):
            self.give_back(shards)

    def give_back(self, shards: range) -> None:
        if fcntl:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, len(shards), shards.start)

    def close(self) -> None:
        """Gives everything back."""
        if fcntl and self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lock(self, shards: range, how: int) -> bool:
        assert fcntl
        try:
            fcntl.lockf(self._file, how, len(shards), shards.start)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # no locks here
            return True
        return True


@contextlib.contextmanager
def claims_on(paths: list[Path]) -> Iterator[list[Claims]]:
    """Claims on several stores, given back at the end."""
    every = [Claims(path) for path in paths]
    try:
        yield every
    finally:
        for one in every:
            one.close()
