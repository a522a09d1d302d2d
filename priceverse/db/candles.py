"""Candles: `price_history_5min`, `_1hour` and `_1day`, and the price that was at an instant.

The rule: a reader sees what the trades came to, whenever the last roll-up was: hours and days whose finer rows changed
since then, the open ones among them, are rolled up while reading. What an exchange told us of fills holes only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import psycopg
from psycopg import sql

from priceverse.db.instants import to_datetime, to_ms
from priceverse.db.pool import Database
from priceverse.model.candle import Candle, Interval
from priceverse.model.decimals import to_places

_COLUMNS = sql.SQL("""
    candle."timestamp", candle.open, candle.high, candle.low, candle.close, candle.volume,
    coalesce(candle.quote_volume, coalesce(candle.vwap, candle.close) * candle.volume), candle.trade_count,
    coalesce(candle.open_time, candle."timestamp"), coalesce(candle.close_time, candle."timestamp"), candle.source
""")
_STORED = sql.SQL("""
    SELECT {columns} FROM {table} AS candle
    WHERE pair = %(pair)s::pair_symbol AND "timestamp" >= %(since)s AND "timestamp" < %(until)s
""")
_CURRENT = sql.SQL("""
    WITH stale AS (
        SELECT "timestamp" AS start FROM candle_stale
        WHERE pair = %(pair)s::pair_symbol AND "interval" = %(interval)s
            AND "timestamp" >= %(since)s AND "timestamp" < %(until)s
    )
    {stored} AND "timestamp" NOT IN (SELECT start FROM stale)
    UNION ALL
    SELECT {columns} FROM stale, LATERAL candle_rolled(
        %(pair)s::pair_symbol, %(interval)s, start, start + candle_width(%(interval)s)
    ) AS candle
""")
_PAGE = sql.SQL('SELECT * FROM ({rows}) AS rows ORDER BY "timestamp" {order} LIMIT %(limit)s OFFSET %(offset)s')
_COUNT = sql.SQL("""
    SELECT (
        SELECT count(*) FROM {table}
        WHERE pair = %(pair)s::pair_symbol AND "timestamp" >= %(since)s AND "timestamp" < %(until)s
    ) + (
        SELECT count(*) FROM candle_stale AS stale
        WHERE pair = %(pair)s::pair_symbol AND "interval" = %(interval)s
            AND "timestamp" >= %(since)s AND "timestamp" < %(until)s
            AND NOT EXISTS (
                SELECT FROM {table} AS stored WHERE stored.pair = stale.pair AND stored."timestamp" = stale."timestamp"
            )
    )
""")
_PRICE_AT = """
    SELECT price, "timestamp" FROM price_history
    WHERE pair = %(pair)s::pair_symbol AND "timestamp" BETWEEN %(oldest)s AND %(at)s
    ORDER BY "timestamp" DESC LIMIT 1
"""
_CLOSE_AT = sql.SQL("""
    SELECT close, close_time FROM {table}
    WHERE pair = %(pair)s::pair_symbol AND close_time BETWEEN %(oldest)s AND %(at)s
        AND "timestamp" BETWEEN %(oldest)s - candle_width(%(interval)s) AND %(at)s
    ORDER BY "timestamp" DESC LIMIT 1
""")
_FILL = sql.SQL("""
    INSERT INTO {table} (
        pair, "timestamp", open, high, low, close, volume,
        quote_volume, vwap, trade_count, open_time, close_time, source
    )
    SELECT * FROM unnest(
        %s::pair_symbol[], %s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
        %s::numeric[], %s::numeric[], %s::integer[], %s::timestamptz[], %s::timestamptz[], %s::text[]
    )
    ON CONFLICT (pair, "timestamp") DO NOTHING
""")
_ENSURE = "SELECT ensure_candle_partitions(%s, %s)"
_STARTS = sql.SQL("""
    SELECT "timestamp" FROM {table}
    WHERE pair = %s::pair_symbol AND "timestamp" >= %s AND "timestamp" < %s ORDER BY "timestamp"
""")
_FIRST = """
    SELECT "timestamp" FROM price_history_5min WHERE pair = %s::pair_symbol AND source = 'trades'
    ORDER BY "timestamp" LIMIT 1
"""
_EARLIEST_MS = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some candles of a range, and how many the whole range has."""

    candles: tuple[Candle, ...]
    total: int


async def read(
    db: Database,
    pair: str,
    interval: Interval,
    *,
    from_ms: int,
    to_ms: int,
    limit: int,
    offset: int = 0,
    newest_first: bool = True,
) -> Page:
    """Return candles whose buckets begin in [from_ms, to_ms), by time; a bucket without trades has none.

    Raises DatabaseUnavailable.
    """
    given = {
        "pair": pair,
        "interval": interval.value,
        "since": to_datetime(from_ms),
        "until": to_datetime(to_ms),
        "limit": limit,
        "offset": offset,
    }

    def work(connection: psycopg.Connection) -> Page:
        page = connection.execute(_page_query(interval, newest_first=newest_first), given).fetchall()
        candles = tuple(_candle(pair, interval, row) for row in page)
        if len(page) < limit and (page or not offset):
            return Page(candles, offset + len(page))  # the last page says it
        counted = connection.execute(_count_query(interval), given).fetchone()
        return Page(candles, counted[0] if counted else 0)

    return await db.run(work)


async def price_at(db: Database, pair: str, at_ms: int, tolerance_ms: int) -> tuple[Decimal, int] | None:
    """Return the price in force at an instant and the instant it is from, at most `tolerance_ms` earlier.

    From the finest of price rows, five minutes, hours, days that reaches there: the retention of price rows is short.
    A candle's price is its close at the time of its last trade. Raises DatabaseUnavailable.
    """
    given = {"pair": pair, "at": to_datetime(at_ms), "oldest": to_datetime(max(at_ms - tolerance_ms, _EARLIEST_MS))}

    def work(connection: psycopg.Connection) -> tuple[Decimal, int] | None:
        found = connection.execute(_PRICE_AT, given).fetchone()
        for interval in Interval:
            if found is None:
                found = connection.execute(_close_query(interval), {**given, "interval": interval.value}).fetchone()
        return found and (found[0], to_ms(found[1]))

    return await db.run(work)


async def fill(db: Database, interval: Interval, candles: Sequence[Candle]) -> int:
    """Store candles of one interval in buckets that have none; return how many. Raises DatabaseUnavailable."""
    if not candles:
        return 0
    table = sql.Identifier(interval.table)
    days = [to_datetime(candle.start_ms).date() for candle in candles]

    # On its own: a roll-up that holds buckets of ours may wait for the lock that making partitions takes.
    await db.run(lambda connection: connection.execute(_ENSURE, (min(days), max(days))))
    return await db.run(lambda connection: connection.execute(_FILL.format(table=table), _columns(candles)).rowcount)


async def starts(db: Database, pair: str, interval: Interval, *, from_ms: int, until_ms: int) -> list[int]:
    """Return where the stored candles of a range begin, ms, in order. Raises DatabaseUnavailable."""
    query = _STARTS.format(table=sql.Identifier(interval.table))
    given = (pair, to_datetime(from_ms), to_datetime(until_ms))
    found = await db.run(lambda connection: connection.execute(query, given).fetchall())
    return [to_ms(start) for (start,) in found]


async def first_of_trades(db: Database, pair: str) -> int | None:
    """Return the first bucket of five minutes, ms, that our own trades made, if any. Raises DatabaseUnavailable."""
    found = await db.run(lambda connection: connection.execute(_FIRST, (pair,)).fetchone())
    return to_ms(found[0]) if found else None


def _columns(candles: Sequence[Candle]) -> tuple[list[object], ...]:
    return (
        [candle.pair for candle in candles],
        [to_datetime(candle.start_ms) for candle in candles],
        [candle.open for candle in candles],
        [candle.high for candle in candles],
        [candle.low for candle in candles],
        [candle.close for candle in candles],
        [candle.volume for candle in candles],
        [candle.quote_volume for candle in candles],
        [None if candle.vwap is None else to_places(candle.vwap) for candle in candles],
        [candle.trades for candle in candles],
        [to_datetime(candle.opened_ms) for candle in candles],
        [to_datetime(candle.closed_ms) for candle in candles],
        [candle.source for candle in candles],
    )


@cache
def _page_query(interval: Interval, *, newest_first: bool) -> bytes:
    stored = _STORED.format(columns=_COLUMNS, table=sql.Identifier(interval.table))
    rows = stored if interval is Interval.FIVE_MINUTES else _CURRENT.format(columns=_COLUMNS, stored=stored)
    return _PAGE.format(rows=rows, order=sql.SQL("DESC" if newest_first else "ASC")).as_bytes()


@cache
def _count_query(interval: Interval) -> bytes:
    return _COUNT.format(table=sql.Identifier(interval.table)).as_bytes()


@cache
def _close_query(interval: Interval) -> bytes:
    return _CLOSE_AT.format(table=sql.Identifier(interval.table)).as_bytes()


def _candle(pair: str, interval: Interval, row: tuple[Any, ...]) -> Candle:
    start, opening, high, low, close, volume, quote_volume, trades, opened, closed, source = row
    return Candle(
        pair,
        interval,
        to_ms(start),
        opening,
        high,
        low,
        close,
        volume,
        quote_volume,
        trades,
        to_ms(opened),
        to_ms(closed),
        source,
    )
