"""Both ways to the server programs: those installed on the machine, and those of the wheels alone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from priceverse.embedded import find
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer


@pytest.fixture
def wheels_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_installed(tmp_path / "path", monkeypatch)


def hide_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `folder` the whole PATH, with nothing in it but what PostgreSQL needs to run under a root user."""
    folder.mkdir()
    if setpriv := shutil.which("setpriv"):
        (folder / "setpriv").symlink_to(setpriv)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(find, "_POSTGRES_FOLDERS", ())


@pytest.fixture(params=["whatever is here", "wheels only"])
def programs(request: pytest.FixtureRequest) -> None:
    if request.param == "wheels only":
        request.getfixturevalue("wheels_only")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path)
    yield server
    server.stop()
