"""The wheel carries what an installed package needs beside its code: page, chart library, SQL, units, examples."""

import re
import zipfile

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
    assert {"etc/priceverse.toml", "etc/nginx/priceverse.conf", "etc/haproxy/priceverse.cfg"} <= shared


def test_the_wheel_has_the_command(built):
    with zipfile.ZipFile(built) as archive:
        points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert re.search(rb"^priceverse = priceverse\.cli:main$", archive.read(points), re.MULTILINE)
