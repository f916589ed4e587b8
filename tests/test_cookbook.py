"""Every example of docs/cookbook.md, as printed, one after another in one folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "cookbook.md").read_text()
BLOCKS = re.findall(r"(?:^`([\w.]+)`:\n\n)?^```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
COMMAND = "import sys; from rljax_viz.cli import main; sys.argv[0] = 'rljax-viz'; main()"


def run(folder, *arguments):
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
def test_every_example_runs_as_printed(tmp_path):
    assert len(BLOCKS) >= 6
    for name, language, text in BLOCKS:
        if name:
            (tmp_path / name).write_text(text)
        elif language == "python":
            done = run(tmp_path, "-c", text)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
        else:
            for line in text.strip().splitlines():
                done = run(tmp_path, "-c", COMMAND, *shlex.split(line)[1:])
                assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert (tmp_path / "runs/haiku/report.html").stat().st_size > 10_000
    assert (tmp_path / "games.mkv").stat().st_size > 1000
