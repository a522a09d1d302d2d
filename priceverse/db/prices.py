"""`price_history`: the price of a pair at each instant of the grid.

The rule: a row that is there already stays as it is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import psycopg
from psycopg.types.json import Jsonb

from priceverse.db import explanations
from priceverse.db.instants import to_datetime, to_ms
from priceverse.db.pool import Database
from priceverse.model.explanation import Reasons
from priceverse.model.price import Method

T = TypeVar("T")

_INSERT = """
    INSERT INTO price_history (pair, price, "timestamp", method, sources, volume, explanation)
    SELECT * FROM unnest(
        %s::pair_symbol[], %s::numeric[], %s::timestamptz[], %s::aggregation_method[], %s::jsonb[], %s::numeric[],
        %s::jsonb[]
    )
    ON CONFLICT (pair, "timestamp") DO NOTHING
"""
_ENSURE = "SELECT ensure_price_history_partitions(day, 1) FROM unnest(%s::date[]) AS day"
_LATEST = """
    SELECT pair::text, price, "timestamp", method::text, sources, volume FROM price_history
    WHERE pair = %s::pair_symbol ORDER BY "timestamp" DESC LIMIT 1
"""
_NEWEST = """
    SELECT pair::text, (SELECT max("timestamp") FROM price_history WHERE price_history.pair = wanted.pair)
    FROM unnest(%s::pair_symbol[]) AS wanted (pair)
"""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """The price of a pair at a grid instant; `price` and `volume` have at most eight places.

    `reasons` are written and not read back: `explanations.explain` does that.
    """

    pair: str
    price: Decimal
    timestamp_ms: int
    method: Method
    sources: tuple[str, ...]
    volume: Decimal
    reasons: Reasons | None = field(default=None, compare=False)


async def insert(db: Database, rows: Sequence[HistoryRow]) -> None:
    """Store rows, all or nothing; rows that exist stay as they are. Raises DatabaseUnavailable."""
    await in_partitions(db, [row.timestamp_ms for row in rows], lambda connection: write(connection, rows))


async def in_partitions(db: Database, instants_ms: Iterable[int], work: Callable[[psycopg.Connection], T]) -> T:
    """Do `work`, which writes rows and candles of `instants_ms`, in one transaction; days without a partition get one.

    Raises DatabaseUnavailable.
    """
    try:
        return await db.run(work)
    except psycopg.errors.CheckViolation as error:
        if error.diag.constraint_name is not None:
            raise  # a CHECK of ours; a missing partition has no name
    days = sorted({to_datetime(at_ms).date() for at_ms in instants_ms})
    await db.run(lambda connection: connection.execute(_ENSURE, (days,)))
    return await db.run(work)


def write(connection: psycopg.Connection, rows: Sequence[HistoryRow]) -> None:
    """Insert rows in the transaction of the caller."""
    if rows:
        connection.execute(_INSERT, _columns(rows))


def _columns(prices: Sequence[HistoryRow]) -> tuple[list[object], ...]:
    return (
        [row.pair for row in prices],
        [row.price for row in prices],
        [to_datetime(row.timestamp_ms) for row in prices],
        [row.method.value for row in prices],
        [Jsonb(row.sources) for row in prices],
        [row.volume for row in prices],
        [explanations.encode(row.pair, row.reasons) if row.reasons else None for row in prices],
    )


async def latest(db: Database, pair: str) -> HistoryRow | None:
    """Return the newest row of a pair, however old. Raises DatabaseUnavailable."""
    found = await db.run(lambda connection: connection.execute(_LATEST, (pair,)).fetchone())
    if found is None:
        return None
    name, price, instant, method, sources, volume = found
    return HistoryRow(name, price, to_ms(instant), Method(method), tuple(sources), volume)


async def newest_timestamps(db: Database, pairs: Sequence[str]) -> dict[str, int]:
    """Return the ms of the newest row of each pair that has one. Raises DatabaseUnavailable."""
    found = await db.run(lambda connection: connection.execute(_NEWEST, (list(pairs),)).fetchall())
    return {pair: to_ms(instant) for pair, instant in found if instant is not None}
