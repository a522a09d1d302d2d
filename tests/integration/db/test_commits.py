"""What aggregators commit: rows, candles and checkpoint together, once, by the newest owner only."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest
import trio

from priceverse.clock import now_ms
from priceverse.db import commits
from priceverse.db.commits import Astray, Claimed, Fenced, Portion
from priceverse.db.errors import DatabaseUnavailable
from priceverse.db.pool import Database
from priceverse.db.prices import HistoryRow
from priceverse.model.candle import Candle, Interval
from priceverse.model.price import Method
from priceverse.pricing.schedule import Position

Connect = Callable[[], psycopg.Connection]
NOW_MS = now_ms() // 300_000 * 300_000
ROW = HistoryRow("btc-usd", Decimal("64123.45678901"), NOW_MS, Method.MEDIAN, ("binance", "kraken"), Decimal("1.5"))
CANDLE = Candle(
    pair="btc-usd",
    interval=Interval.FIVE_MINUTES,
    start_ms=NOW_MS,
    open=Decimal(100),
    high=Decimal(110),
    low=Decimal(90),
    close=Decimal(105),
    volume=Decimal("1.5"),
    quote_volume=Decimal("150.00000000000000000001"),
    trades=3,
    opened_ms=NOW_MS + 10,
    closed_ms=NOW_MS + 20,
    open_key="kraken 001 5",
    close_key="kraken 001 7",
)


def at(number: int) -> Position:
    """The positions of a pair whose rows wait five seconds, one after the other."""
    return Position(1_700_000_005_000 + number * 10_000, 1_700_000_000_000 + number * 10_000)


def portion(number: int, **changes: object) -> Portion:
    return replace(Portion("btc-usd", at(number - 1), at(number), 3, (ROW,), (CANDLE,)), **changes)


HERE, NEXT = portion(1), portion(2)


def stream_id(number: int) -> str:
    return f"{at(number).stream_ms - 1}-{2**64 - 1}"


def rows_of(connect: Connect) -> list[tuple[object, ...]]:
    return connect().execute("SELECT pair::text, price FROM price_history ORDER BY pair, timestamp").fetchall()


def candles_of(connect: Connect) -> list[tuple[object, ...]]:
    return (
        connect()
        .execute(
            "SELECT open, high, low, close, volume, quote_volume, trade_count, vwap, open_key, close_key"
            " FROM price_history_5min ORDER BY pair, timestamp"
        )
        .fetchall()
    )


async def test_rows_candles_and_checkpoint_are_all_or_nothing(db: Database, connect: Connect) -> None:
    bad = replace(ROW, pair="eth-usd", price=Decimal(-1))
    with pytest.raises(psycopg.errors.CheckViolation):
        await commits.commit(db, [replace(HERE, rows=(ROW, bad))])
    assert (rows_of(connect), candles_of(connect)) == ([], [])
    assert await commits.checkpoints(db, ["btc-usd"]) == {}


async def test_the_checkpoint_advances_with_what_is_stored(db: Database) -> None:
    await commits.commit(db, [HERE, NEXT])
    assert await commits.checkpoints(db, ["btc-usd", "eth-usd"]) == {"btc-usd": stream_id(2)}


async def test_a_portion_sent_again_is_stored_once(db: Database, connect: Connect) -> None:
    await commits.commit(db, [HERE])
    once = candles_of(connect)
    await commits.commit(db, [HERE])
    assert candles_of(connect) == once
    await commits.commit(db, [HERE, NEXT])
    await commits.commit(db, [HERE, NEXT])
    assert [(row[4], row[6]) for row in candles_of(connect)] == [(Decimal("3.0"), 6)]


async def test_portions_merge_in_the_table_as_they_do_here(db: Database, connect: Connect) -> None:
    """A late trade opens the candle, one of the same millisecond does not close it."""
    earlier = replace(CANDLE, open=Decimal(95), opened_ms=NOW_MS, open_key="okx 002 11", close=Decimal(1))
    earlier = replace(earlier, low=Decimal(1), close_key="kraken 001 6", quote_volume=Decimal("1e-20"))
    for number, candle in enumerate((CANDLE, earlier), 1):
        await commits.commit(db, [portion(number, rows=(), candles=(candle,))])
    whole = CANDLE.merge(earlier)
    exact = (whole.open, whole.high, whole.low, whole.close, whole.volume, whole.quote_volume)
    assert candles_of(connect) == [(*exact, 6, Decimal("50.00000000"), "okx 002 11", "kraken 001 7")]
    assert (whole.open, whole.close) == (95, 105)


async def test_one_commit_of_many_portions_is_the_same_as_many_commits(db: Database, connect: Connect) -> None:
    portions = [portion(number) for number in range(1, 8)]
    other = [replace(each, pair="eth-usd", candles=(replace(CANDLE, pair="eth-usd"),)) for each in portions]
    await commits.commit(db, portions)
    for each in other:
        await commits.commit(db, [each])
    together, one_by_one = candles_of(connect)
    assert together == one_by_one


async def test_a_candle_of_an_exchange_takes_no_portions(db: Database, connect: Connect) -> None:
    await commits.commit(db, [HERE])
    with connect() as connection:
        connection.execute("UPDATE price_history_5min SET source = 'backfill'")
    whole = candles_of(connect)
    await commits.commit(db, [NEXT])
    assert candles_of(connect) == whole


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (
            Position(1_700_000_012_000, 1_700_000_010_000),
            Position(1_700_000_022_000, 1_700_000_020_000),
        ),  # other lateness
        (at(0), at(2)),  # two instants at once, of which one is stored
        (Position(1_700_000_015_000, 1_700_000_000_000), at(2)),  # trades that are older than the stored instant
        (at(2), at(3)),  # something is missing
    ],
)
async def test_a_portion_that_does_not_begin_where_the_checkpoint_is_is_refused(
    db: Database, connect: Connect, since: Position, until: Position
) -> None:
    await commits.commit(db, [HERE])
    once = candles_of(connect)
    with pytest.raises(Astray, match="btc-usd"):
        await commits.commit(db, [replace(HERE, since=since, until=until)])
    assert candles_of(connect) == once
    assert await commits.checkpoints(db, ["btc-usd"]) == {"btc-usd": stream_id(1)}


async def test_a_position_of_before_it_had_a_lateness_has_the_one_that_is_configured(
    db: Database, connect: Connect
) -> None:
    await commits.commit(db, [HERE])
    with connect() as connection:
        connection.execute("UPDATE checkpoint SET lateness_ms = NULL")
    assert await commits.claim(db, "btc-usd", 4, at(-5)) == Claimed(at(1))
    assert connect().execute("SELECT lateness_ms FROM checkpoint").fetchone() == (5000,)


async def test_a_former_owner_stores_nothing(db: Database, connect: Connect) -> None:
    await commits.commit(db, [replace(HERE, rows=(), candles=())])
    with pytest.raises(Fenced, match="btc-usd"):
        await commits.commit(db, [replace(NEXT, epoch=2)])
    assert (rows_of(connect), candles_of(connect)) == ([], [])
    assert await commits.checkpoints(db, ["btc-usd"]) == {"btc-usd": stream_id(1)}


async def test_a_claim_fences_the_former_owner_off_before_anything_is_stored(db: Database, connect: Connect) -> None:
    await commits.commit(db, [HERE])
    assert await commits.claim(db, "btc-usd", 4, at(-5)) == Claimed(at(1))
    with pytest.raises(Fenced):
        await commits.commit(db, [NEXT])
    await commits.commit(db, [replace(NEXT, epoch=4)])


async def test_a_pair_nobody_knows_begins_where_its_first_owner_says(db: Database) -> None:
    assert await commits.claim(db, "eth-usd", 1, at(5)) == Claimed(at(5))
    assert await commits.claim(db, "eth-usd", 2, at(9)) == Claimed(at(5))


@pytest.mark.parametrize("number", [3, 1])
async def test_a_claim_by_a_number_that_is_not_new_is_refused(db: Database, number: int) -> None:
    await commits.commit(db, [HERE])
    assert await commits.claim(db, "btc-usd", number, at(-5)) == Claimed(at(1), beaten_by=3)


async def test_of_many_owners_at_once_only_the_newest_remains(db: Database, connect: Connect) -> None:
    async def own(epoch: int) -> None:
        try:
            await commits.claim(db, "btc-usd", epoch, at(0))
            await commits.commit(db, [portion(1, epoch=epoch)])
        except Fenced:
            return

    async with trio.open_nursery() as nursery:
        for epoch in (3, 9, 1, 7, 5, 8, 2):
            nursery.start_soon(own, epoch)
    assert connect().execute("SELECT stream_id, epoch FROM checkpoint").fetchall() == [(stream_id(1), 9)]
    assert [row[6] for row in candles_of(connect)] == [CANDLE.trades]


async def test_a_volume_beyond_the_schema_stops_at_its_end(db: Database, connect: Connect) -> None:
    huge = replace(CANDLE, volume=Decimal("9e15"))
    for number in (1, 2):
        await commits.commit(db, [portion(number, candles=(huge,))])
    assert candles_of(connect)[0][4] == Decimal("9999999999999999.99999999")


async def test_volumes_that_are_beyond_the_schema_together_stop_at_its_end_too(db: Database, connect: Connect) -> None:
    huge = replace(CANDLE, volume=Decimal("9e15"))
    await commits.commit(db, [portion(number, candles=(huge,)) for number in (1, 2)])
    await commits.commit(db, [portion(3, candles=(replace(huge, start_ms=NOW_MS + 300_000),))])
    assert candles_of(connect)[0][4] == Decimal("9999999999999999.99999999")
    with connect() as connection:
        connection.execute("SELECT roll_up_stale(10)")
    days = connect().execute("SELECT volume FROM price_history_1day").fetchall()
    assert max(days) == (Decimal("9999999999999999.99999999"),)


async def test_an_old_day_without_a_partition_gets_one(db: Database, connect: Connect) -> None:
    old = replace(CANDLE, start_ms=NOW_MS - 86_400_000 * 400)
    await commits.commit(db, [replace(HERE, candles=(CANDLE, old))])
    assert len(candles_of(connect)) == 2


async def test_while_the_database_is_away_that_is_said(own_server, own_settings) -> None:
    async with Database(own_settings) as database:
        await commits.commit(database, [HERE])
        own_server.stop()
        with pytest.raises(DatabaseUnavailable):
            await commits.commit(database, [NEXT])
