"""What an aggregator commits: rows, candles and the checkpoint that they bring a pair to, in one transaction.

    claim (at takeover) ─▶ epoch and position ─▶ commit: locked ─ fenced? ─ new? ─▶ rows, candles, checkpoint

Candles are sums, so adding a portion twice would double it. The rule: a portion is stored if and only if it begins
where the checkpoint is, under the lock of the checkpoint. So it may be sent again when its fate is not known, nothing
is doubled or left out whoever cut it by whatever settings, and whoever lost a pair to a newer owner stores nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from priceverse.db import prices
from priceverse.db.instants import to_datetime
from priceverse.db.pool import Database
from priceverse.db.prices import HistoryRow
from priceverse.model.candle import Candle, merged
from priceverse.pricing.schedule import Position

_UNCLAIMED = "0-0"
"""The stream id of a pair that nobody claimed."""

_LAST = 2**64 - 1
"""The highest number that an entry has within its millisecond."""

_MAKE = """
    INSERT INTO checkpoint (pair, stream_id, epoch) SELECT pair, '0-0', 0 FROM unnest(%s::pair_symbol[]) AS pair
    ON CONFLICT (pair) DO NOTHING
"""
_HOLD = """
    SELECT pair::text, stream_id, lateness_ms, epoch FROM checkpoint WHERE pair = ANY (%s::pair_symbol[])
    ORDER BY pair FOR UPDATE
"""
_ADVANCE = """
    UPDATE checkpoint SET stream_id = %s, lateness_ms = %s, epoch = %s, updated_at = now() WHERE pair = %s::pair_symbol
"""
_READ = "SELECT pair::text, stream_id FROM checkpoint WHERE pair = ANY (%s::pair_symbol[]) AND stream_id <> '0-0'"
_ADD = """
    INSERT INTO price_history_5min AS mine (
        pair, "timestamp", open, high, low, close, volume, vwap, trade_count, open_time, close_time, quote_volume,
        open_key, close_key
    )
    SELECT pair, "timestamp", open, high, low, close, least(volume, 9999999999999999.99999999),
           round(quote_volume / nullif(volume, 0), 8), trade_count, open_time, close_time, quote_volume, open_key,
           close_key
    FROM unnest(
        %s::pair_symbol[], %s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
        %s::numeric[], %s::integer[], %s::timestamptz[], %s::timestamptz[], %s::numeric[], %s::text[], %s::text[]
    ) AS portion (
        pair, "timestamp", open, high, low, close, volume, trade_count, open_time, close_time, quote_volume, open_key,
        close_key
    )
    ON CONFLICT (pair, "timestamp") DO UPDATE SET
        open = CASE WHEN (excluded.open_time, excluded.open_key) < (mine.open_time, mine.open_key)
            THEN excluded.open ELSE mine.open END,
        high = greatest(mine.high, excluded.high),
        low = least(mine.low, excluded.low),
        close = CASE WHEN (excluded.close_time, excluded.close_key) > (mine.close_time, mine.close_key)
            THEN excluded.close ELSE mine.close END,
        volume = least(mine.volume + excluded.volume, 9999999999999999.99999999),
        vwap = round((mine.quote_volume + excluded.quote_volume) / nullif(mine.volume + excluded.volume, 0), 8),
        trade_count = mine.trade_count + excluded.trade_count,
        open_time = least(mine.open_time, excluded.open_time),
        close_time = greatest(mine.close_time, excluded.close_time),
        quote_volume = mine.quote_volume + excluded.quote_volume,
        open_key = CASE WHEN (excluded.open_time, excluded.open_key) < (mine.open_time, mine.open_key)
            THEN excluded.open_key ELSE mine.open_key END,
        close_key = CASE WHEN (excluded.close_time, excluded.close_key) > (mine.close_time, mine.close_key)
            THEN excluded.close_key ELSE mine.close_key END
        WHERE mine.source = 'trades'
"""
"""A candle that an exchange told us of is whole: it takes no portions."""

_MAKE_ROOM = "CREATE TEMPORARY TABLE IF NOT EXISTS room (filler integer) ON COMMIT DELETE ROWS"
_FILL_ROOM = "INSERT INTO room VALUES (0)"
"""A table of the session, whose first row takes a page of the disk, and which is empty again in the end."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What the stream of `pair` came to between two positions.

    `rows` and `candles` are of the pair and of those derived from it. `epoch` is the owner's fencing number.
    """

    pair: str
    since: Position
    until: Position
    epoch: int = 0
    rows: tuple[HistoryRow, ...] = ()
    candles: tuple[Candle, ...] = ()


@dataclass(frozen=True, slots=True)
class Claimed:
    """A pair's position when it was claimed. Not claimed: `beaten_by` is as high."""

    position: Position
    beaten_by: int | None = None


class Refused(Exception):  # noqa: N818 - reads as the state it reports
    """Nothing was stored, and what was sent of `pair` may never be."""

    def __init__(self, pair: str, reason: str) -> None:
        super().__init__(f"{pair}: {reason}")
        self.pair = pair


class Fenced(Refused):
    """A newer owner of the pair is known."""


class Astray(Refused):
    """A portion is new and does not begin where the checkpoint is: the pair is to be taken over again."""


async def claim(db: Database, pair: str, epoch: int, begin: Position) -> Claimed:
    """Take a pair over as its owner number `epoch`, so that no former owner can store anything from now on.

    A pair that was never claimed is at `begin`, for every later owner too. Refused where a number as high is known:
    Redis, which gives the numbers, was emptied. Raises DatabaseUnavailable.
    """
    return await db.run(lambda connection: _claim(connection, pair, epoch, begin))


async def commit(db: Database, portions: Sequence[Portion]) -> None:
    """Store portions, those of each pair in order, all or nothing; what is stored already is left out.

    Raises DatabaseUnavailable, when the commit may have happened, and Refused.
    """
    instants_ms = {row.timestamp_ms for portion in portions for row in portion.rows}
    instants_ms |= {candle.start_ms for portion in portions for candle in portion.candles}
    await prices.in_partitions(db, instants_ms, lambda connection: _commit(connection, portions))


async def look(db: Database) -> None:
    """Find out whether a page more could be stored now, and leave nothing behind. Raises DatabaseUnavailable."""
    await db.run(_look)


async def checkpoints(db: Database, pairs: Sequence[str]) -> Mapping[str, str]:
    """Return pair → stream id of each pair that was claimed. Raises DatabaseUnavailable."""
    found = await db.run(lambda connection: connection.execute(_READ, (list(pairs),)).fetchall())
    return dict(found)


def _claim(connection: psycopg.Connection, pair: str, epoch: int, begin: Position) -> Claimed:
    held = _hold(connection, [pair])[pair]
    position = held.position(begin) or begin
    if held.epoch >= epoch:
        return Claimed(position, beaten_by=held.epoch)
    connection.execute(_ADVANCE, (*_stored(position), epoch, pair))
    return Claimed(position)


def _commit(connection: psycopg.Connection, portions: Sequence[Portion]) -> None:
    held = _hold(connection, sorted({portion.pair for portion in portions}))
    new = [portion for pair, found in held.items() for portion in found.lacks([p for p in portions if p.pair == pair])]
    prices.write(connection, [row for portion in new for row in portion.rows])
    candles = merged(candle for portion in new for candle in portion.candles)
    if candles:
        connection.execute(_ADD, _columns(candles))
    for last in {portion.pair: portion for portion in new}.values():
        connection.execute(_ADVANCE, (*_stored(last.until), last.epoch, last.pair))


def _look(connection: psycopg.Connection) -> None:
    connection.execute(_MAKE_ROOM)
    connection.execute(_FILL_ROOM)


@dataclass(frozen=True, slots=True)
class _Held:
    """A checkpoint as it is stored, and locked."""

    stream_id: str
    lateness_ms: int | None
    epoch: int

    def position(self, like: Position) -> Position | None:
        """Return where the pair is, None if nobody claimed it; one stored without its lateness has that of `like`."""
        if self.stream_id == _UNCLAIMED:
            return None
        stream_ms = int(self.stream_id.partition("-")[0]) + 1
        lateness_ms = like.stream_ms - like.instant_ms if self.lateness_ms is None else self.lateness_ms
        return Position(stream_ms, stream_ms - lateness_ms)

    def lacks(self, portions: Sequence[Portion]) -> Iterator[Portion]:
        """Yield those portions of the pair, which are in order, that are not stored yet. Raises Fenced, Astray."""
        at = self.position(portions[0].until) or portions[0].since
        for portion in portions:
            if self.epoch > portion.epoch:
                raise Fenced(portion.pair, f"epoch {portion.epoch} is over")
            if portion.since == at:
                at = portion.until
                yield portion
            elif not at.covers(portion.until):
                raise Astray(portion.pair, f"{portion.since} to {portion.until}, and {at} is stored")


def _hold(connection: psycopg.Connection, pairs: list[str]) -> dict[str, _Held]:
    """Lock the checkpoints of pairs, in one order for everybody, and return where they stand."""
    connection.execute(_MAKE, (pairs,))
    return {pair: _Held(*found) for pair, *found in connection.execute(_HOLD, (pairs,))}


def _stored(position: Position) -> tuple[str, int]:
    """Return a position as the table has it: the highest stream id below, and the lateness."""
    return f"{position.stream_ms - 1}-{_LAST}", position.stream_ms - position.instant_ms


def _columns(candles: Sequence[Candle]) -> tuple[list[object], ...]:
    ordered = sorted(candles, key=lambda candle: (candle.pair, candle.start_ms))
    return (
        [candle.pair for candle in ordered],
        [to_datetime(candle.start_ms) for candle in ordered],
        [candle.open for candle in ordered],
        [candle.high for candle in ordered],
        [candle.low for candle in ordered],
        [candle.close for candle in ordered],
        [candle.volume for candle in ordered],
        [candle.trades for candle in ordered],
        [to_datetime(candle.opened_ms) for candle in ordered],
        [to_datetime(candle.closed_ms) for candle in ordered],
        [candle.quote_volume for candle in ordered],
        [candle.open_key for candle in ordered],
        [candle.close_key for candle in ordered],
    )
