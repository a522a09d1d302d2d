"""`python tests/programs.py`: programs of other people that tests run and that this machine lacks.

Debian's packages, unpacked below `.venv/programs`: nothing is installed, no service starts, no root is needed where
apt knows its lists. One line says what could not be had.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".venv/programs"
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "jq": "jq", "curl": "curl", "pg_restore": "postgresql"}
"""Program → package."""

TIMEOUT_S = 600
_PLACES = ("usr/sbin", "usr/bin", "usr/lib/postgresql/*/bin")


def path() -> str:
    """Return a `PATH` with the machine's own programs first, those below `FOLDER` last."""
    places = [str(found) for root in (Path("/"), FOLDER) for place in _PLACES for found in sorted(root.glob(place))]
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *places])


def find(name: str) -> str:
    """Return where a program is."""
    found = shutil.which(name, path=path())
    assert found, f"no {name} here: python tests/programs.py (or apt-get install {PACKAGES[name]})"
    return found


def environment() -> dict[str, str]:
    """Return the variables with which what is below `FOLDER` finds its libraries."""
    libraries = [str(found) for found in (FOLDER / "usr/lib").glob("*-linux-gnu*")]
    return os.environ | {"PATH": path()} | ({"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {})


def main() -> int:
    """Do nothing where all are there; return 1 where some could not be had."""
    missing = [name for name in PACKAGES if not shutil.which(name, path=path())]
    if not missing:
        return 0
    if os.geteuid() == 0:
        _run(["apt-get", "update", "-qq"])
    with tempfile.TemporaryDirectory(prefix="pv-programs-") as folder:
        (Path(folder) / "partial").mkdir()
        options = ["--download-only", "--no-install-recommends", "--yes", "-qq", "-o", "Debug::NoLocking=1"]
        archives = ["-o", f"Dir::Cache::archives={folder}"]
        _run(["apt-get", "install", *options, *archives, *(PACKAGES[name] for name in missing)])
        for package in sorted(Path(folder).glob("*.deb")):
            FOLDER.mkdir(parents=True, exist_ok=True)
            _run(["dpkg-deb", "--extract", str(package), str(FOLDER)])
    lacking = [name for name in missing if not shutil.which(name, path=path())]
    if lacking:
        sys.stderr.write(f"could not be had, their tests will fail: {', '.join(lacking)}\n")
    return int(bool(lacking))


def _run(argv: list[str]) -> None:
    given = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(argv, env=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except FileNotFoundError:  # no Debian here
        return
    if done.returncode:
        sys.stderr.write(f"{' '.join(argv[:2])}: {(done.stderr or done.stdout).strip()[-500:]}\n")


if __name__ == "__main__":
    sys.exit(main())
