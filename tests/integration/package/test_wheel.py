"""The wheel carries what an installed package needs beside its code: page, chart library, SQL, units, examples."""

import configparser
import importlib
import subprocess
import zipfile

import click
import pytest

from tests import wheel

ROOT = wheel.ROOT
LIBRARY = "priceverse/web/node_modules/lightweight-charts"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return wheel.build(wheel.copy(tmp_path_factory.mktemp("tree")))


@pytest.fixture(scope="module")
def names(built):
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


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
    etc = wheel.ROOT / "etc"
    examples = {path for path in etc.rglob("*") if path.is_file() and path.suffix != ".png"}
    assert {f"etc/{path.relative_to(etc)}" for path in examples} <= shared


def test_the_sdist_makes_the_same_wheel(names, tmp_path):
    sdist = wheel.build_sdist(wheel.copy(tmp_path))
    subprocess.run(["tar", "--extract", f"--file={sdist}", f"--directory={sdist.parent}"], check=True, timeout=60)
    [tree] = sdist.parent.glob("priceverse-*/")
    with zipfile.ZipFile(wheel.build(tree)) as archive:
        assert set(archive.namelist()) == names


def test_the_wheel_has_the_commands(built):
    with zipfile.ZipFile(built) as archive:
        points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        said = configparser.ConfigParser()
        said.read_string(archive.read(points).decode())
    scripts = dict(said["console_scripts"])
    assert set(scripts) == {"priceverse", "priceversectl"}
    for where in scripts.values():
        module, _, name = where.partition(":")
        assert isinstance(getattr(importlib.import_module(module), name), click.Group)
