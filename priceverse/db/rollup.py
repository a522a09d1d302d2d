"""Hours and days from five minutes: the buckets that the database noted as stale, a bounded number at a time.

Any number of processes may do this at once; each bucket is rolled up by one of them, and again after each revision.
"""

from dataclasses import dataclass

import psycopg

from priceverse.db.instants import to_datetime, to_ms
from priceverse.db.pool import Database
from priceverse.model.candle import Interval

MOST = 50
"""Buckets per transaction: their writers wait while it lasts."""

_ROLL_UP = "SELECT roll_up_stale(%s)"
_ROLL_UP_RANGE = "SELECT roll_up(%s::pair_symbol, %s, %s, %s)"
_BACKLOG = "SELECT count(*), min(since) FROM candle_stale"
_WATERMARKS = """
    SELECT pair::text, "interval", min("timestamp") FROM candle_stale GROUP BY pair, "interval"
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many buckets wait to be rolled up, and since when the one that waits longest does; None if none does."""

    buckets: int
    since_ms: int | None


async def roll_up_stale(db: Database, most: int = MOST) -> int:
    """Roll up at most so many stale buckets, the longest waiting first; return how many. Raises DatabaseUnavailable."""
    return await db.run(lambda connection: _number(connection, _ROLL_UP, most))


async def roll_up(db: Database, pair: str, interval: Interval, from_ms: int, to_ms: int) -> int:
    """Roll up a range of whole buckets; return how many rows are new or changed. Raises DatabaseUnavailable."""
    given = (pair, interval.value, to_datetime(from_ms), to_datetime(to_ms))
    return await db.run(lambda connection: _number(connection, _ROLL_UP_RANGE, *given))


async def backlog(db: Database) -> Backlog:
    """Return what waits. Raises DatabaseUnavailable."""
    row = await db.run(lambda connection: connection.execute(_BACKLOG).fetchone())
    assert row is not None
    return Backlog(row[0], None if row[1] is None else to_ms(row[1]))


async def watermarks(db: Database) -> dict[tuple[str, Interval], int]:
    """Return for each pair and interval that lags the start of its first bucket that is not rolled up.

    Raises DatabaseUnavailable.
    """
    rows = await db.run(lambda connection: connection.execute(_WATERMARKS).fetchall())
    return {(pair, Interval(interval)): to_ms(start) for pair, interval, start in rows}


def _number(connection: psycopg.Connection, query: str, *given: object) -> int:
    row = connection.execute(query.encode(), given).fetchone()
    assert row is not None
    return int(row[0])
