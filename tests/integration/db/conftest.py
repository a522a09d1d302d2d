"""A pool on the test's own database, and a PostgreSQL of the test's own that may be maltreated."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Settings
from priceverse.db import migrate
from priceverse.db.pool import Database
from priceverse.embedded.postgres import PostgresServer
from tests.conftest import connect_database


@pytest.fixture
async def db(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    async with Database(database_settings) as database:
        yield database


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path, options={"fsync": "off"})
    server.start()
    migrate.up(Settings(database=DatabaseSettings.model_validate(server.settings)))
    yield server
    server.stop()


@pytest.fixture
def own_settings(own_server: PostgresServer) -> DatabaseSettings:
    return DatabaseSettings.model_validate({**own_server.settings, "connect_timeout_s": 2, "statement_timeout_ms": 500})


@pytest.fixture
def own_plain_login(tmp_path: Path) -> Iterator[Settings]:
    """The database of a login that owns it and may do nothing else, on a server without our roles."""
    server = PostgresServer(tmp_path, options={"fsync": "off"})
    server.start()
    settings = DatabaseSettings.model_validate(server.settings)
    with connect_database(settings) as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        connection.execute("GRANT plain TO CURRENT_USER")
        connection.execute("CREATE DATABASE plain OWNER plain")
    who = {"user": "plain", "database": "plain", "password": SecretStr("plain")}
    yield Settings(database=settings.model_copy(update=who))
    server.stop()
