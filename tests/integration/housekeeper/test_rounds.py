"""The housekeeper against a real PostgreSQL, and against none."""

import functools
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import psycopg
import trio

from priceverse.clock import now_ms
from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Retention
from priceverse.db.instants import to_datetime
from priceverse.db.pool import Database
from priceverse.housekeeper import keeping, rolling

Connect = Callable[[], psycopg.Connection]
DAYS = "SELECT right(inhrelid::regclass::text, 8) FROM pg_inherits WHERE inhparent = 'price_history'::regclass"


class Counted:
    """What was counted so far, and waiting for it."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self._changed = trio.Event()

    def __call__(self, name: str, n: int) -> None:
        self.sums[name] += n
        self._changed.set()

    async def until(self, name: str, at_least: int) -> None:
        with trio.fail_after(90):
            while self.sums[name] < at_least:
                self._changed = trio.Event()
                await self._changed.wait()


async def test_the_first_round_is_at_start(database_settings: DatabaseSettings, connect: Connect) -> None:
    outside = connect()
    today = to_datetime(now_ms()).date()
    outside.execute("SELECT ensure_price_history_partitions(%s, 1)", (today - timedelta(days=9),))
    counted, stopping = Counted(), trio.Event()
    async with Database(database_settings) as db, trio.open_nursery() as nursery:
        nursery.start_soon(keeping.serve, db, Retention(partitions_ahead_days=10), stopping, counted)
        await counted.until("rounds", 1)
        stopping.set()
    days = sorted(day for (day,) in outside.execute(DAYS))
    assert days[0] == f"{today - timedelta(days=1):%Y%m%d}"
    assert days[-1] == f"{today + timedelta(days=10):%Y%m%d}"
    assert counted.sums["partitions_dropped"] == 1


async def test_what_is_stale_is_rolled_up_at_start_and_again_later(
    database_settings: DatabaseSettings, connect: Connect
) -> None:
    outside, counted, stopping = connect(), Counted(), trio.Event()
    write = (
        'INSERT INTO price_history_5min AS mine (pair, "timestamp", open, high, low, close, volume) VALUES'
        " ('btc-usd', date_bin('5 minutes', now(), '2020-01-01'), 1, 1, 1, 1, 1)"
        ' ON CONFLICT (pair, "timestamp") DO UPDATE SET volume = mine.volume + 1'
    )
    outside.execute(write)
    async with Database(database_settings) as db, trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(rolling.serve, interval_s=0.01), db, stopping, counted)
        await counted.until("buckets_rolled_up", 2)
        outside.execute(write)
        await counted.until("buckets_rolled_up", 4)
        stopping.set()
    assert outside.execute("SELECT volume FROM price_history_1hour").fetchall() == [(2,)]


async def test_rounds_repeat(database_settings: DatabaseSettings) -> None:
    counted, stopping = Counted(), trio.Event()
    async with Database(database_settings) as db, trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(keeping.serve, interval_s=0.01), db, Retention(), stopping, counted)
        await counted.until("rounds", 3)
        stopping.set()
    assert counted.sums["database_failures"] == 0


async def test_without_postgresql_it_counts_tries_again_and_stops_when_told(unused_tcp_port: int) -> None:
    away = DatabaseSettings(host="127.0.0.1", port=unused_tcp_port, connect_timeout_s=1)
    counted, stopping = Counted(), trio.Event()
    async with Database(away) as db, trio.open_nursery() as nursery:
        nursery.start_soon(keeping.serve, db, Retention(), stopping, counted)
        await counted.until("database_failures", 2)
        stopping.set()
    assert counted.sums["rounds"] == 0


async def test_a_database_that_is_migrated_later_is_kept_from_then_on(
    empty_database: DatabaseSettings,
) -> None:
    from priceverse.config.settings import Settings
    from priceverse.db import migrate

    counted, stopping = Counted(), trio.Event()
    async with Database(empty_database) as db, trio.open_nursery() as nursery:
        nursery.start_soon(keeping.serve, db, Retention(partitions_ahead_days=9), stopping, counted)
        await counted.until("database_failures", 1)
        await trio.to_thread.run_sync(migrate.up, Settings(database=empty_database))
        await counted.until("rounds", 1)
        stopping.set()
    assert 6 <= counted.sums["partitions_made"] <= 11  # the migrator makes five of them, unless the round was quicker
