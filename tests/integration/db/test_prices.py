"""Price rows: exact, idempotent, in partitions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from priceverse.clock import now_ms
from priceverse.db import prices
from priceverse.db.pool import Database
from priceverse.db.prices import HistoryRow
from priceverse.model.price import Method

Connect = Callable[[], psycopg.Connection]
NOW_MS = now_ms() // 10_000 * 10_000
ROW = HistoryRow("btc-usd", Decimal("64123.45678901"), NOW_MS, Method.MEDIAN, ("binance", "kraken"), Decimal("1.5"))


def rows_of(connect: Connect) -> list[tuple[object, ...]]:
    return connect().execute("SELECT pair::text, price FROM price_history ORDER BY pair, timestamp").fetchall()


async def test_a_row_comes_back_as_it_went(db: Database) -> None:
    await prices.insert(db, [ROW])
    assert await prices.latest(db, "btc-usd") == ROW


async def test_a_pair_without_rows_has_no_latest(db: Database) -> None:
    assert await prices.latest(db, "xmr-rub") is None


async def test_latest_is_the_newest_across_days(db: Database) -> None:
    old = replace(ROW, timestamp_ms=NOW_MS - 86_400_000, price=Decimal(1))
    await prices.insert(db, [ROW, old])
    assert await prices.latest(db, "btc-usd") == ROW


async def test_the_same_row_again_changes_nothing(db: Database, connect: Connect) -> None:
    await prices.insert(db, [ROW])
    await prices.insert(db, [ROW, replace(ROW, price=Decimal(7)), replace(ROW, pair="eth-usd")])
    assert rows_of(connect) == [("btc-usd", ROW.price), ("eth-usd", ROW.price)]


async def test_a_day_that_nobody_made_a_partition_for_gets_one(db: Database, connect: Connect) -> None:
    days = [datetime(2031, 5, day, hour, tzinfo=UTC) for day, hour in ((1, 0), (1, 23), (4, 12))]
    rows = [replace(ROW, timestamp_ms=int(day.timestamp()) * 1000) for day in days]
    await prices.insert(db, rows)
    assert len(rows_of(connect)) == 3
    made = connect().execute("SELECT to_regclass('price_history_20310501'), to_regclass('price_history_20310502')")
    assert made.fetchone() == ("price_history_20310501", None)


async def test_midnight_utc_belongs_to_the_new_day(db: Database, connect: Connect) -> None:
    midnight = int(datetime(2031, 5, 2, tzinfo=UTC).timestamp()) * 1000
    await prices.insert(db, [replace(ROW, timestamp_ms=midnight), replace(ROW, timestamp_ms=midnight - 1)])
    found = connect().execute("SELECT tableoid::regclass::text FROM price_history ORDER BY timestamp").fetchall()
    assert found == [("price_history_20310501",), ("price_history_20310502",)]


async def test_newest_timestamps_leaves_out_pairs_without_rows(db: Database) -> None:
    await prices.insert(db, [ROW, replace(ROW, timestamp_ms=NOW_MS - 10_000), replace(ROW, pair="btc-rub")])
    found = await prices.newest_timestamps(db, ["btc-usd", "btc-rub", "eth-usd"])
    assert found == {"btc-usd": NOW_MS, "btc-rub": NOW_MS}


async def test_an_unknown_pair_is_our_mistake(db: Database) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        await prices.insert(db, [replace(ROW, pair="doge-usd")])


@given(
    price=st.decimals(min_value=Decimal("1e-8"), max_value=Decimal("9999999999999999.99999999"), places=8),
    volume=st.decimals(min_value=0, max_value=Decimal("9999999999999999.99999999"), places=8),
    offset_ms=st.integers(min_value=0, max_value=86_399_999),
    sources=st.lists(st.sampled_from(["binance", "kraken", "cbr"]), unique=True),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_storable_row_comes_back_exactly(
    connect: Connect, price: Decimal, volume: Decimal, offset_ms: int, sources: list[str]
) -> None:
    from priceverse.db.instants import to_datetime, to_ms

    at = NOW_MS // 86_400_000 * 86_400_000 + offset_ms
    row = HistoryRow("eth-usd", price, at, Method.VWAP, tuple(sources), volume)
    with connect() as connection, connection.transaction(force_rollback=True):
        prices.write(connection, [row])
        found = connection.execute(prices._LATEST, ("eth-usd",)).fetchone()
    assert found is not None
    assert (found[1], to_ms(found[2]), tuple(found[4]), found[5]) == (price, at, tuple(sources), volume)
    assert to_ms(to_datetime(at)) == at
