"""Small C++ files of ours behind `jax.ffi`: compiled at first use, kept in the user's cache."""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax


class ShimError(RuntimeError):
    """Why a shim cannot be used here, and how to mend it."""


def compiled(source: Path, before: Sequence[str] = (), after: Sequence[str] = (), versions: Sequence[str] = ()) -> Path:
    """`source` as a shared library, compiled unless this source was compiled here before for this jaxlib and `versions`.

    `before` and `after` are the compiler's arguments on either side of the source. Raises ShimError with the fix.
    """
    stamp = [importlib.metadata.version("jaxlib"), *versions]
    key = hashlib.sha256(source.read_bytes() + "\n".join(stamp).encode()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rljax_viz" / "native"
    path = home / f"{source.stem}-{key}.so"
    if path.exists():
        return path
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if not compiler:
        raise ShimError("no C++ compiler to build its shim: apt-get install g++, or set CXX")
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as folder:
            out = Path(folder) / path.name
            command = [*compiler.split(), "-O2", "-std=c++17", "-fPIC", "-shared", f"-I{jax.ffi.include_dir()}", *before]
            subprocess.run([*command, str(source), *after, "-o", str(out)], check=True, capture_output=True, text=True)
            os.replace(out, path)
    except subprocess.CalledProcessError as error:
        raise ShimError(f"{compiler} could not build its shim: {error.stderr.strip().splitlines()[-1:]}") from None
    except OSError as error:
        raise ShimError(f"its shim could not be built in {home}: {error}") from None
    return path
