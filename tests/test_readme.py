"""What README.md shows runs as printed, and what it points at is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_example_runs_as_printed(tmp_path):
    example = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[0]
    assert "rljax_viz" in example
    assert len(example.strip().splitlines()) <= 15
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr


def test_links_and_pictures_are_files_of_the_repository():
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", README) + re.findall(r'(?:src|href)="([^"#]+)"', README)
    inside = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert inside
    assert not [target for target in inside if not (ROOT / target).exists()]


def test_its_make_commands_are_targets():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = set(re.findall(r"^\s*make ([a-z]+)", README, re.MULTILINE)) | set(re.findall(r"`make ([a-z]+)", README))
    assert {"demo", "test"} <= commands <= targets


def test_the_rooms_it_maps_exist():
    rooms = set(re.findall(r"`rljax_viz/([a-z]+)/`", README))
    assert rooms
    assert not [room for room in rooms if not (ROOT / "rljax_viz" / room / "__init__.py").exists()]
