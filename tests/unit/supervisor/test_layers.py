"""What the modules of the supervisor may know: read from their imports."""

import ast
import sys
from pathlib import Path

import pytest

import supervisor

PACKAGE = Path(supervisor.__file__).parent
MODULES = {str(path.relative_to(PACKAGE)): path for path in PACKAGE.rglob("*.py")}
PURE = ["autoscale", "backoff", "circuit", "commands", "errors", "events", "exits", "intensity", "machine", "order",
        "placement", "pool", "spec", "wire"]  # fmt: skip
EFFECTS = {"trio", "os", "socket", "subprocess", "time", "random", "select", "threading", "fcntl", "shutil", "tempfile"}


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nothing_but_trio_is_needed_and_a_terminal_only_by_ctl(name):
    allowed = {"supervisor", "trio"} | ({"click", "rich"} if name.startswith("ctl/") else set())
    assert roots(MODULES[name]) - sys.stdlib_module_names <= allowed


@pytest.mark.parametrize("name", PURE)
def test_the_deciding_modules_touch_nothing(name):
    assert not roots(MODULES[f"{name}.py"]) & EFFECTS
    deeper = {known.partition(".")[2].partition(".")[0] for known in imported(MODULES[f"{name}.py"])
              if known.startswith("supervisor.")}  # fmt: skip
    assert deeper <= set(PURE)


def test_the_wall_clock_is_read_for_people_only():
    readers = {name for name, path in MODULES.items() if "time.time" in path.read_text()}
    assert readers == {"tree.py"}
    assert (PACKAGE / "tree.py").read_text().count("time.time") == 1  # the stamp of an event
