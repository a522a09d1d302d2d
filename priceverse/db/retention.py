"""Partitions: made ahead of time, dropped when old; never a row deleted one by one.

Prices have one for each UTC day, candles of five minutes and of hours one for each month, so they stay up to a month
longer than asked. Days are kept for ever. Whoever makes days makes the months that their candles need.

Any number of processes may do this at once: one does it, the others find nothing to do.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import psycopg

from priceverse.config.settings import Retention
from priceverse.db.pool import Database

_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('priceverse retention'))"
_ENSURE = "SELECT ensure_price_history_partitions(%s, %s)"
_DROP = "SELECT drop_price_history_partitions(%s)"
_DROP_MONTHS = "SELECT drop_candle_partitions('5min', %s) + drop_candle_partitions('1hour', %s)"
_LATE = timedelta(days=1)
"""Yesterday's partition is made too: its last rows arrive after midnight."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one round did: days made and dropped, months of candles dropped."""

    made: int = 0
    dropped: int = 0
    months_dropped: int = 0


async def keep(db: Database, retention: Retention, today: date) -> Kept:
    """Make the partitions of the next days and drop those out of retention; `today` is a UTC date.

    Raises DatabaseUnavailable, also when somebody reads an old partition for too long: the next round drops it.
    """
    made = await db.run(lambda connection: make(connection, retention, today))
    dropped = await db.run(lambda connection: _drop(connection, retention, today))
    months_dropped = await db.run(lambda connection: _drop_months(connection, retention, today))
    return Kept(made, dropped, months_dropped)


def make(connection: psycopg.Connection, retention: Retention, today: date) -> int:
    """Make the missing partitions from yesterday to `partitions_ahead_days` ahead; return how many."""
    return _number(connection, _ENSURE, today - _LATE, retention.partitions_ahead_days + 2)


def _drop(connection: psycopg.Connection, retention: Retention, today: date) -> int:
    before = today - timedelta(days=retention.raw_days)
    return _number(connection, _DROP, before) if _number(connection, _LOCK) else 0


def _drop_months(connection: psycopg.Connection, retention: Retention, today: date) -> int:
    days = (retention.candle_5min_days, retention.candle_1hour_days)
    befores = [today - timedelta(days=kept) for kept in days]
    return _number(connection, _DROP_MONTHS, *befores) if _number(connection, _LOCK) else 0


def _number(connection: psycopg.Connection, query: str, *given: object) -> int:
    row = connection.execute(query.encode(), given).fetchone()
    assert row is not None
    return int(row[0])
