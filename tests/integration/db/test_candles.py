"""Candles: rolled up exactly, again after a revision, by many at once; read as current whatever was rolled up."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg
import pytest
import trio
import trio.testing

from priceverse.config.settings import Database as DatabaseSettings
from priceverse.db import candles, prices, rollup
from priceverse.db.instants import to_datetime
from priceverse.db.pool import Database
from priceverse.db.prices import HistoryRow
from priceverse.model.candle import Candle, Interval, merged
from priceverse.model.price import Method

Connect = Callable[[], psycopg.Connection]
FIVE, HOUR, DAY = Interval
T0 = int(datetime(2031, 3, 1, tzinfo=UTC).timestamp()) * 1000
PAIR = "btc-usd"
EVER = {"from_ms": 0, "to_ms": T0 + 400 * DAY.ms, "limit": 10_000}
REVISE = """
    UPDATE price_history_5min SET high = high + 1, close = high + 1, volume = volume + 1, trade_count = trade_count + 1
    WHERE pair = 'btc-usd' AND "timestamp" = %s
"""


def candle(start_ms: int, n: int = 0, interval: Interval = FIVE, pair: str = PAIR) -> Candle:
    """A candle like no other."""
    low, high = Decimal(100 + n), Decimal(110 + n)
    volume = Decimal(f"0.{n + 1:08d}")
    quote = volume * Decimal("105.123456789")
    span = (start_ms + 1000, start_ms + interval.ms - 1000)
    return Candle(pair, interval, start_ms, low + 1, high, low, high - 1, volume, quote, n + 1, *span)


def coarse(fine: Iterable[Candle], interval: Interval) -> list[Candle]:
    """The same by the model's own merging, in memory."""
    return merged(replace(each, interval=interval, start_ms=interval.start_ms(each.start_ms)) for each in fine)


async def roll_all(db: Database) -> None:
    with trio.fail_after(60):
        while (await rollup.backlog(db)).buckets:
            await rollup.roll_up_stale(db)


@pytest.fixture
def fine() -> list[Candle]:
    """Three days of candles with holes."""
    chance = random.Random(5)
    starts = [T0 + n * FIVE.ms for n in range(3 * 288) if chance.random() < 0.4]
    return [candle(start, n) for n, start in enumerate(starts)]


async def test_a_candle_comes_back_as_it_went(db: Database) -> None:
    await candles.fill(db, FIVE, [candle(T0)])
    page = await candles.read(db, PAIR, FIVE, **EVER)
    assert page == candles.Page((candle(T0),), 1)


@pytest.mark.parametrize("interval", [HOUR, DAY])
@pytest.mark.parametrize("rolled", [False, True])
async def test_coarse_candles_are_the_exact_sum_of_the_fine(
    db: Database, fine: list[Candle], interval: Interval, *, rolled: bool
) -> None:
    await candles.fill(db, FIVE, fine)
    if rolled:
        await roll_all(db)
    page = await candles.read(db, PAIR, interval, **EVER, newest_first=False)
    assert list(page.candles) == coarse(fine, interval)


async def test_the_order_and_the_portions_of_writing_change_nothing(
    db: Database, connect: Connect, fine: list[Candle]
) -> None:
    chance = random.Random(7)
    chance.shuffle(fine)
    while fine:
        portion, fine = fine[: chance.randint(1, 200)], fine[200:]
        await candles.fill(db, FIVE, portion)
        await rollup.roll_up_stale(db, chance.randint(1, 40))
    await roll_all(db)
    for interval in (HOUR, DAY):
        changed = await rollup.roll_up(db, PAIR, interval, T0, T0 + 4 * DAY.ms)
        assert changed == 0, "what is rolled up is final, and doing it again changes nothing"


async def test_a_revised_row_revises_its_hour_and_its_day(db: Database, connect: Connect) -> None:
    await candles.fill(db, FIVE, [candle(T0), candle(T0 + FIVE.ms, 1)])
    await roll_all(db)
    connect().execute(REVISE, (to_datetime(T0 + FIVE.ms),))
    for interval in (HOUR, DAY):
        at_once = await candles.read(db, PAIR, interval, **EVER)
        await roll_all(db)
        stored = await candles.read(db, PAIR, interval, **EVER)
        assert at_once == stored
        assert (stored.candles[0].high, stored.candles[0].close) == (Decimal(112), Decimal(112))
        assert stored.candles[0].trades == 4


async def test_many_at_once_roll_up_each_bucket_once(database_settings: DatabaseSettings, fine: list[Candle]) -> None:
    done: list[int] = []

    async def one() -> None:
        async with Database(database_settings) as own:
            while rolled := await rollup.roll_up_stale(own, 5):
                done.append(rolled)

    async with Database(database_settings) as db:
        await candles.fill(db, FIVE, fine)
        waiting = (await rollup.backlog(db)).buckets
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(one)
        assert (sum(done), await rollup.backlog(db)) == (waiting, rollup.Backlog(0, None))
        page = await candles.read(db, PAIR, DAY, **EVER, newest_first=False)
        assert list(page.candles) == coarse(fine, DAY)


async def test_a_row_that_is_being_written_is_left_to_the_next_time(db: Database, connect: Connect) -> None:
    """The writer's transaction is open while the roll-up runs: neither waits, nothing is forgotten."""
    await candles.fill(db, FIVE, [candle(T0)])
    writer = connect()
    with trio.fail_after(20):
        with writer.transaction():
            writer.execute(REVISE, (to_datetime(T0),))
            assert await rollup.roll_up_stale(db) == 0
        assert await rollup.roll_up_stale(db) == 2
    found = connect().execute("SELECT close FROM price_history_1hour").fetchall()
    assert found == [(Decimal(111),)]


async def test_a_writer_after_the_roll_up_makes_the_bucket_stale_again(db: Database, connect: Connect) -> None:
    await candles.fill(db, FIVE, [candle(T0)])
    roller, writer = connect(), connect()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            with roller.transaction():
                roller.execute("SELECT roll_up_stale(9)")
                nursery.start_soon(
                    trio.to_thread.run_sync, lambda: writer.execute(REVISE, (to_datetime(T0),)), name="waits"
                )
                await trio.testing.wait_all_tasks_blocked()
    assert (await rollup.backlog(db)).buckets == 2
    await roll_all(db)
    assert connect().execute("SELECT close FROM price_history_1day").fetchall() == [(Decimal(111),)]


async def test_watermarks_name_the_first_bucket_that_lags(db: Database) -> None:
    assert await rollup.watermarks(db) == {}
    await candles.fill(db, FIVE, [candle(T0 + HOUR.ms), candle(T0 + 2 * HOUR.ms)])
    assert await rollup.watermarks(db) == {(PAIR, HOUR): T0 + HOUR.ms, (PAIR, DAY): T0}


async def test_pages_cover_the_range_once_and_know_its_size(db: Database, fine: list[Candle]) -> None:
    await candles.fill(db, FIVE, fine)
    await rollup.roll_up_stale(db, 30)  # some stored, some not
    expected = coarse(fine, HOUR)[::-1]
    span = {"from_ms": T0, "to_ms": T0 + 3 * DAY.ms}
    for offset in range(0, len(expected) + 10, 10):
        page = await candles.read(db, PAIR, HOUR, **span, limit=10, offset=offset)
        assert (list(page.candles), page.total) == (expected[offset : offset + 10], len(expected))


async def test_a_range_is_half_open(db: Database) -> None:
    await candles.fill(db, FIVE, [candle(T0 + n * FIVE.ms, n) for n in range(4)])
    page = await candles.read(db, PAIR, FIVE, from_ms=T0 + FIVE.ms, to_ms=T0 + 3 * FIVE.ms, limit=9)
    assert [each.start_ms - T0 for each in page.candles] == [2 * FIVE.ms, FIVE.ms]


async def test_filling_overwrites_nothing(db: Database) -> None:
    ours = candle(T0)
    assert await candles.fill(db, FIVE, [ours]) == 1
    theirs = [replace(candle(T0 + n * FIVE.ms, 9), source="backfill") for n in range(3)]
    assert await candles.fill(db, FIVE, theirs) == 2
    page = await candles.read(db, PAIR, FIVE, **EVER, newest_first=False)
    assert page.candles == (ours, *theirs[1:])
    assert await candles.starts(db, PAIR, FIVE, from_ms=T0, until_ms=T0 + 2 * FIVE.ms) == [T0, T0 + FIVE.ms]


async def test_a_coarse_candle_with_a_filled_part_says_so(db: Database) -> None:
    await candles.fill(db, FIVE, [candle(T0), replace(candle(T0 + FIVE.ms), source="backfill"), candle(T0 + HOUR.ms)])
    hours = await candles.read(db, PAIR, HOUR, **EVER, newest_first=False)
    assert [each.source for each in hours.candles] == ["backfill", "trades"]


async def test_a_day_takes_hours_where_there_are_no_finer_rows(db: Database) -> None:
    hours = [candle(T0 + n * HOUR.ms, n, HOUR) for n in (2, 3)]
    fine = [candle(T0 + n * FIVE.ms, n) for n in range(3)]
    await candles.fill(db, HOUR, hours)
    await candles.fill(db, FIVE, fine)
    day = (await candles.read(db, PAIR, DAY, **EVER)).candles[0]
    assert day == coarse([*fine, *hours], DAY)[0]


# --- the price at an instant


def row(at_ms: int, price: int) -> HistoryRow:
    return HistoryRow(PAIR, Decimal(price), at_ms, Method.VWAP, (), Decimal(1))


async def test_the_price_at_an_instant_is_the_nearest_row_before(db: Database) -> None:
    await prices.insert(db, [row(T0, 7), row(T0 + 10_000, 8)])
    assert await candles.price_at(db, PAIR, T0 + 9999, 60_000) == (Decimal(7), T0)
    assert await candles.price_at(db, PAIR, T0 + 10_000, 0) == (Decimal(8), T0 + 10_000)
    assert await candles.price_at(db, PAIR, T0 - 1, 60_000) is None
    assert await candles.price_at(db, PAIR, T0 + 70_001, 60_000) is None


@pytest.mark.parametrize("interval", list(Interval))
async def test_where_rows_do_not_reach_candles_do(db: Database, interval: Interval) -> None:
    one = candle(T0, 3, interval)
    await prices.insert(db, [row(T0 + 30 * DAY.ms, 7)])
    await candles.fill(db, interval, [one])
    assert await candles.price_at(db, PAIR, one.closed_ms, 0) == (one.close, one.closed_ms)
    assert await candles.price_at(db, PAIR, one.closed_ms - 1, DAY.ms) is None  # its close is of later
    assert await candles.price_at(db, PAIR, one.closed_ms + HOUR.ms, DAY.ms) == (one.close, one.closed_ms)
    assert await candles.price_at(db, PAIR, one.closed_ms + HOUR.ms, HOUR.ms - 1) is None


async def test_rows_go_before_candles_and_finer_candles_before_coarser(db: Database) -> None:
    await candles.fill(db, HOUR, [candle(T0, 5, HOUR)])
    await candles.fill(db, FIVE, [candle(T0, 2)])
    at_ms = T0 + 2 * HOUR.ms
    assert await candles.price_at(db, PAIR, at_ms, DAY.ms) == (candle(T0, 2).close, candle(T0).closed_ms)
    await prices.insert(db, [row(T0, 7)])
    assert await candles.price_at(db, PAIR, at_ms, DAY.ms) == (Decimal(7), T0)


# --- months


async def test_months_are_made_with_the_days_and_rows_survive_the_change_of_the_schema(
    empty_database: DatabaseSettings,
) -> None:
    from priceverse.config.settings import Settings
    from priceverse.db import migrate
    from tests.conftest import connect_database

    settings = Settings(database=empty_database)
    migrate.up(settings)
    after = len([name for name in migrate.status(settings) if name.name >= "0005"])
    migrate.down(settings, after)
    with connect_database(empty_database) as outside:
        for start in ("2030-12-31 23:55", "2031-01-01 00:00"):
            outside.execute(
                'INSERT INTO price_history_5min (pair, "timestamp", open, high, low, close, volume, quote_volume)'
                " VALUES ('btc-usd', %s, 1, 2, 1, 2, 3, 4)",
                (f"{start}+00",),
            )
        before = outside.execute("SELECT * FROM price_history_5min ORDER BY id").fetchall()
        migrate.up(settings)
        assert outside.execute("SELECT * FROM price_history_5min ORDER BY id").fetchall() == before
        assert outside.execute("SELECT roll_up_stale(9)").fetchone() == (4,)
        assert outside.execute('SELECT "timestamp" FROM price_history_1day ORDER BY 1').fetchall() == [
            (datetime(2030, 12, 31, tzinfo=UTC),), (datetime(2031, 1, 1, tzinfo=UTC),),
        ]  # fmt: skip
        migrate.down(settings, after)
        assert outside.execute("SELECT * FROM price_history_5min ORDER BY id").fetchall() == before


async def test_a_month_is_dropped_when_all_of_it_is_old(connect: Connect) -> None:
    outside = connect()
    outside.execute("SELECT ensure_candle_partitions('2021-01-15', '2021-03-01')")
    drop = "SELECT drop_candle_partitions('5min', %s)"
    assert outside.execute(drop, (date(2021, 1, 31),)).fetchone() == (0,)
    assert outside.execute(drop, (date(2021, 2, 27),)).fetchone() == (1,)
    left = outside.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'price_history_%_2021%' ORDER BY 1"
    ).fetchall()
    assert [name for (name,) in left] == [
        "price_history_1hour_202101", "price_history_1hour_202102", "price_history_1hour_202103",
        "price_history_5min_202102", "price_history_5min_202103",
    ]  # fmt: skip
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        outside.execute("SELECT drop_candle_partitions('1day', '2021-03-01')")
