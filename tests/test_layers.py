"""The house holds: rooms import downwards only, jax internals stay in one file, names are listed once.

A new room gets its floor in FLOORS. An exception stands here by name, with its reason.
"""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rljax_viz"

FLOORS = {
    "transforms": 0,
    "images": 0,
    "store": 0,
    "explain": 1,
    "measure": 1,
    "edit": 1,
    "features": 1,
    "networks": 1,
    "envs": 1,
    "report": 1,
    "agents": 2,
    "generate": 2,
    "sweeps": 2,
    "zoo": 2,  # data and where it lies; `runs` loads and exports it
    "runs": 3,
    "screen": 4,  # what the commands show
    "commands": 5,  # what a user can type
    "cli": 6,
    "__main__": 7,
    "__init__": 7,  # the front door: `rljax_viz.open`, `rljax_viz.show`
}
# (file below rljax_viz/, room it may import against the rule): why
EXCEPTIONS: dict[tuple[str, str], str] = {}

JAX_INTERNALS = ("jax.extend", "jax.interpreters", "jax._src")
MAY_USE_INTERNALS = {"transforms/_interpret.py": ("jax.extend", "jax.interpreters")}
NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "misc"}

FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted({f.relative_to(PACKAGE).parts[0] for f in FILES if f.parent != PACKAGE})


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain, or ""."""
    if isinstance(node, ast.Attribute):
        below = _dotted(node.value)
        return f"{below}.{node.attr}" if below else ""
    return node.id if isinstance(node, ast.Name) else ""


def _imports(tree: ast.AST, package: str) -> set[str]:
    """Every module (or module.name) that the code imports, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            found |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and _dotted(node.func).rpartition(".")[2] in ("import_module", "__import__"):
            found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)}
    return found


def _room(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def _rooms_imported(imports: set[str]) -> set[str]:
    """The rooms of rljax_viz among imports; `__init__` for the package itself, whose version anyone may read."""
    inside = {name for name in imports if name.split(".")[0] == "rljax_viz" and name != "rljax_viz.__version__"}
    rooms = {f"{name}.__init__".split(".")[1] for name in inside}
    return {room if room in FLOORS or room in ROOMS else "__init__" for room in rooms}


def upward(file: str, source: str) -> list[str]:
    """The imports of `file` that do not go to a lower floor."""
    room, package = _room(file), ".".join(["rljax_viz", *file.split("/")[:-1]])
    wrong = []
    for other in sorted(_rooms_imported(_imports(ast.parse(source), package)) - {room}):
        if FLOORS[other] >= FLOORS[room] and (file, other) not in EXCEPTIONS:
            wrong.append(f"{file} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})")
    return wrong


def internals(file: str, source: str) -> list[str]:
    """The parts of jax that `file` should not touch, imported or reached through an attribute."""
    tree = ast.parse(source)
    used = _imports(tree, "rljax_viz") | {_dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    allowed = MAY_USE_INTERNALS.get(file, ())
    closed = [prefix for prefix in JAX_INTERNALS if prefix not in allowed]
    return sorted(name for name in used for prefix in closed if f"{name}.".startswith(f"{prefix}."))


def test_every_room_has_a_floor():
    top = {f.stem for f in PACKAGE.glob("*.py")}
    missing = (set(ROOMS) | top) - FLOORS.keys()
    assert not missing, f"give {sorted(missing)} a floor in tests/test_layers.py, and a line in CONTRIBUTING.md"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_go_down(path):
    assert not upward(_name(path), path.read_text())


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_jax_internals_stay_in_one_file(path):
    assert not internals(_name(path), path.read_text())


def test_exceptions_are_still_needed():
    for file, room in EXCEPTIONS:
        source = (PACKAGE / file).read_text()
        package = ".".join(["rljax_viz", *file.split("/")[:-1]])
        assert room in _rooms_imported(_imports(ast.parse(source), package)), f"{file} imports {room} no more"


def test_files_are_named_for_their_idea():
    ours = [*FILES, *(f for folder in ("tests", "benchmarks", "experiments") for f in (ROOT / folder).rglob("*.py"))]
    assert not [str(f.relative_to(ROOT)) for f in ours if f.stem.strip("_") in NAMELESS]


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_listed_once(room):
    """`__all__` of a room is what its `__init__` defines or takes from its files, and each name is there."""
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    assert ast.get_docstring(tree), f"rljax_viz/{room}/__init__.py says in a sentence who lives here"
    bound: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("rljax_viz")):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Assign):
            bound |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            bound.add(node.target.id)
    module = importlib.import_module(f"rljax_viz.{room}")
    assert {name for name in bound if not name.startswith("_")} <= set(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert not [name for name in module.__all__ if not hasattr(module, name)]


@pytest.mark.parametrize(
    ("file", "source", "wrong"),
    [
        ("explain/a.py", "from rljax_viz.transforms import tag", 0),
        ("explain/a.py", "from rljax_viz import __version__", 0),
        ("explain/a.py", "from .gradient import gradient", 0),
        ("explain/a.py", "from rljax_viz.networks import make", 1),
        ("explain/a.py", "from rljax_viz import transforms, networks, runs", 2),
        ("explain/a.py", "import rljax_viz.agents.ppo as p", 1),
        ("explain/a.py", "from ..agents import ppo", 1),
        ("explain/a.py", "def f():\n    from rljax_viz.runs import load", 1),
        ("explain/a.py", "import importlib\nimportlib.import_module('rljax_viz.zoo')", 1),
        ("explain/a.py", "import rljax_viz", 1),
        ("explain/a.py", "from rljax_viz import show", 1),
        ("cli.py", "from rljax_viz import runs", 0),
        ("runs/a.py", "from rljax_viz import cli", 1),
    ],
)
def test_the_rule_itself(file, source, wrong):
    assert len(upward(file, source)) == wrong


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("import jax.extend as jex", True),
        ("from jax.interpreters import ad", True),
        ("from jax import extend", True),
        ("from jax._src import core", True),
        ("import jax\nx = jax._src.core.Jaxpr", True),
        ("import jax\nx = jax.core.ShapedArray", False),
        ("import jax.extended", False),
    ],
)
def test_the_fence_itself(source, caught):
    assert bool(internals("explain/a.py", source)) == caught
