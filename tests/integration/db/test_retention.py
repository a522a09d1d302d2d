"""Partitions: ahead, dropped by day, by many at once, in nobody's way."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
import trio

from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Retention
from priceverse.db import prices, retention
from priceverse.db.pool import Database, DatabaseUnavailable, Reason
from priceverse.db.prices import HistoryRow
from priceverse.db.retention import Kept
from priceverse.model.price import Method

Connect = Callable[[], psycopg.Connection]
TODAY = date(2031, 3, 1)


def days_of(connect: Connect) -> list[str]:
    query = "SELECT right(inhrelid::regclass::text, 8) FROM pg_inherits WHERE inhparent = 'price_history'::regclass"
    return sorted(day for (day,) in connect().execute(query))


def at(day: date) -> HistoryRow:
    ms = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()) * 1000
    return HistoryRow("btc-usd", Decimal(1), ms, Method.VWAP, (), Decimal(1))


async def test_a_round_makes_the_days_ahead_and_drops_the_old(db: Database, connect: Connect) -> None:
    before = len(days_of(connect))
    kept = await retention.keep(db, Retention(raw_days=2, partitions_ahead_days=2), TODAY)
    assert (kept.made, kept.dropped) == (4, before)
    assert days_of(connect) == ["20310228", "20310301", "20310302", "20310303"]


async def test_candles_stay_as_many_days_as_asked_and_no_more_than_a_month_longer(
    db: Database, connect: Connect
) -> None:
    connect().execute("SELECT ensure_candle_partitions('2028-10-01', '2031-03-01')")
    await retention.keep(db, Retention(candle_5min_days=30, candle_1hour_days=730), TODAY)
    months = "SELECT min(right(inhrelid::regclass::text, 6)) FROM pg_inherits WHERE inhparent = %s::regclass"
    oldest = [connect().execute(months, (f"price_history_{width}",)).fetchone() for width in ("5min", "1hour")]
    assert oldest == [("203101",), ("202903",)]


async def test_a_second_round_finds_nothing_to_do(db: Database) -> None:
    await retention.keep(db, Retention(), TODAY)
    assert await retention.keep(db, Retention(), TODAY) == Kept()


async def test_a_week_of_rounds_keeps_exactly_the_days_of_retention(db: Database, connect: Connect) -> None:
    rule = Retention(raw_days=3, partitions_ahead_days=1)
    for n in range(8):
        today = TODAY + timedelta(days=n)
        await retention.keep(db, rule, today)
        await prices.insert(db, [at(today)])
    kept = connect().execute("SELECT count(*), min(timestamp)::date FROM price_history").fetchone()
    assert kept == (4, date(2031, 3, 5))
    assert days_of(connect)[0] == "20310305"


async def test_many_at_once_do_it_once(database_settings: DatabaseSettings, connect: Connect) -> None:
    made: list[int] = []

    async def one(settings: DatabaseSettings) -> None:
        async with Database(settings) as own:
            made.append((await retention.keep(own, Retention(raw_days=1), TODAY)).made)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one, database_settings)
    assert sorted(made) == [0, 0, 0, 0, 5]
    assert len(days_of(connect)) == 5


async def test_a_reader_of_an_old_day_delays_dropping_but_blocks_nobody(db: Database, connect: Connect) -> None:
    await retention.keep(db, Retention(), TODAY)
    await prices.insert(db, [at(TODAY)])
    reader = connect()
    with reader.transaction():
        reader.execute("SELECT * FROM price_history").fetchall()
        with pytest.raises(DatabaseUnavailable) as caught:
            await retention.keep(db, Retention(raw_days=1), TODAY + timedelta(days=5))
        assert caught.value.reason is Reason.BUSY
        assert await prices.latest(db, "btc-usd") == at(TODAY)
    assert (await retention.keep(db, Retention(raw_days=1), TODAY + timedelta(days=5))).dropped > 0


async def test_making_a_day_waits_for_no_writer(db: Database, connect: Connect) -> None:
    await retention.keep(db, Retention(), TODAY)
    writer = connect()
    with writer.transaction():
        writer.execute(
            "INSERT INTO price_history (pair, price, timestamp, method) VALUES ('btc-usd', 1, '2031-03-01', 'vwap')"
        )
        with trio.fail_after(2):
            kept = await retention.keep(db, Retention(), TODAY + timedelta(days=1))
    assert kept.made == 1


async def test_a_table_left_detached_is_attached_again(db: Database, connect: Connect) -> None:
    await retention.keep(db, Retention(), TODAY)
    connect().execute("ALTER TABLE price_history DETACH PARTITION price_history_20310301")
    assert (await retention.keep(db, Retention(), TODAY)).made == 1
    await prices.insert(db, [at(TODAY)])
