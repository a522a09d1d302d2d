"""`price_history` and `checkpoint`: what the aggregators computed, and how far their streams are worked in.

The rule: rows and the checkpoint that they reach are one transaction. A row that is there already stays as it is, so
whatever is not known to be committed may be sent again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import psycopg
from psycopg.types.json import Jsonb

from priceverse.db.instants import to_datetime, to_ms
from priceverse.db.pool import Database
from priceverse.model.price import Method

_INSERT = """
    INSERT INTO price_history (pair, price, "timestamp", method, sources, volume)
    SELECT * FROM unnest(
        %s::pair_symbol[], %s::numeric[], %s::timestamptz[], %s::aggregation_method[], %s::jsonb[], %s::numeric[]
    )
    ON CONFLICT (pair, "timestamp") DO NOTHING
"""
_ADVANCE = """
    INSERT INTO checkpoint AS mine (pair, stream_id, epoch, updated_at)
    VALUES (%s::pair_symbol, %s, %s, now())
    ON CONFLICT (pair) DO UPDATE
        SET stream_id = excluded.stream_id, epoch = excluded.epoch, updated_at = excluded.updated_at
        WHERE mine.epoch <= excluded.epoch
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
_CHECKPOINTS = "SELECT pair::text, stream_id FROM checkpoint WHERE pair = ANY (%s::pair_symbol[])"


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """The price of a pair at a grid instant; `price` and `volume` have at most eight places."""

    pair: str
    price: Decimal
    timestamp_ms: int
    method: Method
    sources: tuple[str, ...]
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything of a pair's stream up to and including `stream_id` is stored; `epoch` fences off former owners."""

    pair: str
    stream_id: str
    epoch: int = 0


class Fenced(Exception):  # noqa: N818 - reads as the state it reports
    """A newer owner of the pair has written: nothing was stored, and nothing may be."""


async def insert(db: Database, prices: Sequence[HistoryRow], checkpoints: Iterable[Checkpoint] = ()) -> None:
    """Store rows and checkpoints, all or nothing; rows that exist stay as they are.

    Days without a partition get one. Raises DatabaseUnavailable, Fenced.
    """
    advanced = sorted(checkpoints, key=lambda each: each.pair)  # one order of locks: no deadlock between owners
    try:
        await db.run(lambda connection: _insert(connection, prices, advanced))
    except psycopg.errors.CheckViolation as error:
        if error.diag.constraint_name is not None:
            raise  # a CHECK of ours; a missing partition has no name
        days = sorted({to_datetime(row.timestamp_ms).date() for row in prices})
        await db.run(lambda connection: connection.execute(_ENSURE, (days,)))
        await db.run(lambda connection: _insert(connection, prices, advanced))


def _insert(connection: psycopg.Connection, prices: Sequence[HistoryRow], advanced: Sequence[Checkpoint]) -> None:
    for each in advanced:
        if connection.execute(_ADVANCE, (each.pair, each.stream_id, each.epoch)).rowcount == 0:
            raise Fenced(f"{each.pair}: epoch {each.epoch} is over")
    if prices:
        connection.execute(_INSERT, _columns(prices))


def _columns(prices: Sequence[HistoryRow]) -> tuple[list[object], ...]:
    return (
        [row.pair for row in prices],
        [row.price for row in prices],
        [to_datetime(row.timestamp_ms) for row in prices],
        [row.method.value for row in prices],
        [Jsonb(row.sources) for row in prices],
        [row.volume for row in prices],
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


async def checkpoints(db: Database, pairs: Sequence[str]) -> Mapping[str, str]:
    """Return pair → stream id of each pair that has a checkpoint. Raises DatabaseUnavailable."""
    found = await db.run(lambda connection: connection.execute(_CHECKPOINTS, (list(pairs),)).fetchall())
    return dict(found)
