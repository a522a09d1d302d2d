"""Wheels of this checkout, built from a copy, so that nothing appears in the tree."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("priceverse", "supervisor", "sql", "etc", "systemd", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; sys.path.append('{site}'); from setuptools import build_meta; build_meta.build_{what}('dist')"
"""Without `site`: the installed packages are there, the checkout that an editable install points to is not."""

TIMEOUT_S = 120


def copy(tree: Path) -> Path:
    """Copy what a wheel is made of."""
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "axe-core", "*.egg-info")
            shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tree)
    return tree


def build(tree: Path) -> Path:
    """Build the wheel of a tree; return it."""
    return _built(tree, "wheel", "*.whl")


def build_sdist(tree: Path) -> Path:
    """Build the sdist of a tree; return it."""
    return _built(tree, "sdist", "*.tar.gz")


def _built(tree: Path, what: str, name: str) -> Path:
    command = [sys.executable, "-I", "-S", "-c", BUILD.format(site=sysconfig.get_path("purelib"), what=what)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, timeout=TIMEOUT_S)
    [made] = (tree / "dist").glob(name)
    return made


def next_version(tree: Path) -> str:
    """Make a tree a later version that has one migration more; return the version."""
    major, minor, _ = map(int, re.findall(r"\d+", (tree / "priceverse/__init__.py").read_text())[:3])
    version = f"{major}.{minor + 1}.0"
    for file, key in (("pyproject.toml", "version"), ("priceverse/__init__.py", "__version__")):
        text = (tree / file).read_text(encoding="utf-8")
        (tree / file).write_text(re.sub(rf'^{key} = ".*"', f'{key} = "{version}"', text, count=1, flags=re.MULTILINE))
    number = 1 + max(int(path.name[:4]) for path in (tree / "sql").glob("*.up.sql"))
    for way, statement in (("up", "CREATE TABLE novelty (x int);"), ("down", "DROP TABLE novelty;")):
        (tree / f"sql/{number:04}_novelty.{way}.sql").write_text(f"{statement}\n")
    return version
