"""Fixtures for every layer: private real servers, once per run; an empty Redis and a fresh migrated database per test.

A machine without the servers fails the tests that need them: nothing is skipped.
"""

import itertools
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis as redis_client
from hypothesis import settings as property_settings
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

from priceverse.config.settings import Database, Redis, Settings
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from priceverse.embedded.state import StateDir
from tests.redis_cluster import ClusterServers

property_settings.register_profile("patient", deadline=None)  # a loaded machine is no fault of an example's
property_settings.load_profile("patient")

ROOT = Path(__file__).parent.parent
WIRE = ROOT / "../shared/wire"
"""Protocol descriptions and captured frames of other people: beside the repository, never in it."""

_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "autovacuum": "off",  # its workers sit in a database that is just being dropped or copied
}
_TEMPLATE = "template_priceverse"


@pytest.fixture(scope="session")
def state_dir() -> Iterator[Path]:
    """A short path, so that the servers get unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="pv-"))
    path.chmod(0o711)
    with StateDir(path):
        yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def redis_server(state_dir: Path) -> Iterator[Redis]:
    """A running Redis that all tests of the run share."""
    server = RedisServer(state_dir)
    server.start()
    yield Redis.model_validate(server.settings)
    server.stop()


@pytest.fixture
def redis_settings(redis_server: Redis) -> Redis:
    """An empty Redis."""
    return emptied(redis_server)


@pytest.fixture(scope="session")
def redis_cluster(state_dir: Path) -> Iterator[Redis]:
    """A running Redis Cluster that all tests of the run share."""
    with ClusterServers(state_dir / "cluster").running() as servers:
        yield servers.settings


@pytest.fixture(scope="session")
def postgres_server(state_dir: Path) -> Iterator[Database]:
    """A running PostgreSQL that all tests of the run share; its database `priceverse` stays empty."""
    server = PostgresServer(state_dir, options=_FAST)
    server.start()
    yield Database.model_validate(server.settings)
    server.stop()


@pytest.fixture
def empty_database(postgres_server: Database) -> Iterator[Database]:
    """A database of its own without any table."""
    with _database(postgres_server, "template1") as settings:
        yield settings


@pytest.fixture(scope="session")
def migrated(postgres_server: Database) -> Database:
    """The template of all migrated databases: the default pairs, nothing in the tables."""
    from priceverse.db import migrate

    _execute(postgres_server, "CREATE DATABASE {}", _TEMPLATE)
    template = postgres_server.model_copy(update={"database": _TEMPLATE})
    migrate.up(Settings(database=template))
    return template


@pytest.fixture
def database_settings(migrated: Database) -> Iterator[Database]:
    """A migrated database of its own."""
    with _database(migrated, _TEMPLATE) as settings:
        yield settings


@pytest.fixture
def connect(database_settings: Database) -> Iterator[Callable[[], psycopg.Connection]]:
    """Opens plain autocommit connections to the test's database, to look at it from outside."""
    opened: list[psycopg.Connection] = []

    def open_one() -> psycopg.Connection:
        opened.append(connect_database(database_settings))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def unused_tcp_port() -> Iterator[int]:
    """A loopback port that nobody listens on and nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def connect_database(settings: Database) -> psycopg.Connection:
    """Open a plain autocommit connection."""
    return psycopg.connect(
        host=settings.host,
        port=settings.port,
        dbname=settings.database,
        user=settings.user,
        password=settings.password.get_secret_value() if settings.password else None,
        connect_timeout=5,
        autocommit=True,
    )


def emptied(settings: Redis) -> Redis:
    """Remove everything from a Redis."""
    with connect_redis(settings) as client:
        client.flushall()
    return settings


def connect_redis(settings: Redis) -> redis_client.Redis | redis_client.RedisCluster:
    """Open a plain client."""
    if settings.cluster_nodes:
        host, _, port = settings.cluster_nodes[0].rpartition(":")
        return redis_client.RedisCluster(host, int(port), password=settings.password.get_secret_value())
    return redis_client.Redis(
        host=settings.host,
        port=settings.port,
        unix_socket_path=str(settings.unix_socket) if settings.unix_socket else None,
        password=settings.password.get_secret_value() if settings.password else None,
        socket_timeout=5,
        retry=Retry(NoBackoff(), 0),
    )


_number = itertools.count(1)


class _database:  # noqa: N801 - used as a context manager
    """A database copied from a template and dropped afterwards, whoever is still connected to it."""

    def __init__(self, server: Database, template: str) -> None:
        self._server = server.model_copy(update={"database": "postgres"})
        self._template = template
        self._name = f"test_{next(_number)}"

    def __enter__(self) -> Database:
        _execute(self._server, "CREATE DATABASE {} TEMPLATE {}", self._name, self._template)
        return self._server.model_copy(update={"database": self._name})

    def __exit__(self, *_: object) -> None:
        _execute(self._server, "DROP DATABASE {} WITH (FORCE)", self._name)


def _execute(server: Database, statement: str, *names: str) -> None:
    with connect_database(server) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
