"""The wheel carries what an installed package needs beside its code: page, chart library, SQL, units, examples."""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = ("priceverse", "supervisor", "sql", "etc", "systemd", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; sys.path.append('{site}'); from setuptools import build_meta; build_meta.build_wheel('dist')"
"""Without `site`: the installed packages are there, the checkout that an editable install points to is not."""

LIBRARY = "priceverse/web/node_modules/lightweight-charts"
TIMEOUT_S = 120


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A copy is built, so that nothing appears in the tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "axe-core", "*.egg-info")
            shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tree)
    build = [sys.executable, "-I", "-S", "-c", BUILD.format(site=sysconfig.get_path("purelib"))]
    subprocess.run(build, cwd=tree, check=True, capture_output=True, timeout=TIMEOUT_S)
    return tree / "dist"


@pytest.fixture(scope="module")
def names(dist):
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_the_wheel_has_every_module_and_migration(names):
    code = {str(path.relative_to(ROOT)) for top in ("priceverse", "supervisor") for path in (ROOT / top).rglob("*.py")}
    code = {name for name in code if "node_modules" not in name}
    assert code <= names
    assert {f"priceverse/sql/{path.name}" for path in (ROOT / "sql").glob("*.sql")} <= names


def test_the_wheel_has_the_page_and_the_chart_library(names):
    assert {f"priceverse/web/{path.name}" for path in (ROOT / "priceverse/web").glob("*.js")} <= names
    assert {name for name in names if "node_modules" in name} == {
        f"{LIBRARY}/LICENSE",
        f"{LIBRARY}/dist/lightweight-charts.standalone.production.mjs",
    }


def test_the_wheel_has_units_and_examples(names):
    shared = {name.partition("/data/share/priceverse/")[2] for name in names} - {""}
    assert {f"systemd/{path.name}" for path in (ROOT / "systemd").iterdir()} <= shared
    assert {"etc/priceverse.toml", "etc/nginx/priceverse.conf", "etc/haproxy/priceverse.cfg"} <= shared


def test_the_wheel_has_the_command(dist):
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        assert re.search(rb"^priceverse = priceverse\.cli:main$", wheel.read(points), re.MULTILINE)
