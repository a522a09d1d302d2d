"""Brings a database to the schema of this program, and tells whether it is there.

One migrator at a time per database (an advisory lock: others wait, then find everything done), one transaction per
file. The pairs of the configuration are added to the enum outside of any transaction, as PostgreSQL wants it. Run
twice, the second time does nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.db import migrations, retention
from priceverse.db.connect import connect, place
from priceverse.db.errors import unavailable
from priceverse.db.instants import to_datetime
from priceverse.db.migrations import Applied, Migration, SchemaChanged, SchemaOutdated

__all__ = ["Plan", "SchemaChanged", "SchemaOutdated", "Step", "check", "down", "plan", "status", "up"]

_LOCK = "SELECT pg_advisory_lock(hashtext('priceverse migrate'))"
_LOCK_PATIENCE = "SET lock_timeout = '60s'"
_BOOK = """
    CREATE TABLE IF NOT EXISTS schema_migration (
        name       text        PRIMARY KEY,
        checksum   text        NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""
_HAS_BOOK = "SELECT to_regclass('schema_migration') IS NOT NULL"
_APPLIED = "SELECT name, checksum, applied_at FROM schema_migration ORDER BY name"
_ENTER = "INSERT INTO schema_migration (name, checksum) VALUES (%s, %s)"
_STRIKE = "DELETE FROM schema_migration WHERE name = %s"
_PAIRS = "SELECT enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid WHERE typname = 'pair_symbol'"
_ADD_PAIR = "ALTER TYPE pair_symbol ADD VALUE IF NOT EXISTS {}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a database needs, or got: migrations, pairs, daily partitions; `warnings` are the server's."""

    migrations: tuple[str, ...]
    pairs: tuple[str, ...]
    partitions: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.migrations or self.pairs)


@dataclass(frozen=True, slots=True)
class Step:
    """A migration and when it was applied, None when it was not."""

    name: str
    applied_at: datetime | None


def up(settings: Settings) -> Plan:
    """Apply what is missing: migrations, pairs, roles and grants, partitions. Return what was done.

    Raises SchemaChanged when the database has something else applied, DatabaseUnavailable.
    """
    with _session(settings) as connection:
        warnings: list[str] = []
        connection.add_notice_handler(
            lambda notice: warnings.append(notice.message_primary or "") if notice.severity == "WARNING" else None
        )
        _lock(connection)
        connection.execute(_BOOK)
        todo = migrations.pending(migrations.load(), _applied(connection))
        for migration in todo:
            _apply(connection, migration)
        pairs = _missing_pairs(connection, settings)
        for pair in pairs:
            connection.execute(sql.SQL(_ADD_PAIR).format(sql.Literal(pair)))
        connection.execute(migrations.roles().encode())
        made = retention.make(connection, settings.retention, to_datetime(now_ms()).date())
        return Plan(tuple(each.name for each in todo), pairs, made, tuple(warnings))


def down(settings: Settings, count: int) -> tuple[str, ...]:
    """Take the last `count` migrations back, newest first, and the data in their tables; return their names.

    Raises SchemaChanged, DatabaseUnavailable.
    """
    with _session(settings) as connection:
        _lock(connection)
        known = migrations.load()
        done = _applied(connection)
        migrations.pending(known, done)
        names = {each.name for each in done}
        back = [each for each in reversed(known) if each.name in names][:count]
        for migration in back:
            with connection.transaction():
                connection.execute(migration.down.encode())
                connection.execute(_STRIKE, (migration.name,))
        return tuple(each.name for each in back)


def plan(settings: Settings) -> Plan:
    """Return what `up` would do, changing nothing. Raises SchemaChanged, DatabaseUnavailable."""
    with _session(settings) as connection:
        todo = migrations.pending(migrations.load(), _applied(connection))
        return Plan(tuple(each.name for each in todo), _missing_pairs(connection, settings))


def status(settings: Settings) -> tuple[Step, ...]:
    """Return every migration of this program and of the database. Raises DatabaseUnavailable."""
    with _session(settings) as connection:
        when = dict.fromkeys(each.name for each in migrations.load())
        rows = connection.execute(_APPLIED).fetchall() if _has_book(connection) else []
        return tuple(Step(name, at) for name, at in sorted({**when, **{row[0]: row[2] for row in rows}}.items()))


def check(settings: Settings) -> None:
    """Raise SchemaOutdated, with the command to run, unless the database is as this program needs it."""
    needed = plan(settings)
    if not needed.is_empty:
        what = ", ".join((*needed.migrations, *(f"pair {pair}" for pair in needed.pairs)))
        raise SchemaOutdated(f"the database {place(settings.database)} lacks {what}: run `priceverse migrate`")


@contextmanager
def _session(settings: Settings) -> Iterator[psycopg.Connection]:
    try:
        with connect(settings.database) as connection:
            yield connection
    except psycopg.Error as error:
        if (reason := unavailable(error)) is None:
            raise
        raise reason from error


def _lock(connection: psycopg.Connection) -> None:
    connection.execute(_LOCK_PATIENCE)
    connection.execute(_LOCK)


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    with connection.transaction():
        connection.execute(migration.up.encode())
        connection.execute(_ENTER, (migration.name, migration.checksum))


def _applied(connection: psycopg.Connection) -> tuple[Applied, ...]:
    if not _has_book(connection):
        return ()
    return tuple(Applied(name, checksum) for name, checksum, _ in connection.execute(_APPLIED))


def _has_book(connection: psycopg.Connection) -> bool:
    return connection.execute(_HAS_BOOK).fetchone() == (True,)


def _missing_pairs(connection: psycopg.Connection, settings: Settings) -> tuple[str, ...]:
    labels = [label for (label,) in connection.execute(_PAIRS)]
    enabled = (name for name, pair in settings.pairs.items() if pair.enabled)
    return migrations.missing_pairs(enabled, labels) if labels else ()  # the first migration makes the enum
