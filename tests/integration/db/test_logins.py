"""Logins as `sql/README.md` describes them: the writer does everything that a child does, and owns nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pydantic import SecretStr

from priceverse.config.settings import Database as DatabaseSettings
from priceverse.config.settings import Retention
from priceverse.db import candles, commits, gaps, prices, rates, retention, rollup
from priceverse.db.pool import Database, DatabaseUnavailable, Reason
from priceverse.model.candle import Candle, Interval
from priceverse.model.loss import Loss, LossReason
from priceverse.model.price import Method
from priceverse.model.rate import Rate
from priceverse.pricing.schedule import Position
from tests.conftest import connect_database

FIVE, HOUR, DAY = Interval
START_MS = int(datetime(2031, 3, 1, tzinfo=UTC).timestamp()) * 1000
CANDLE = Candle(
    "btc-usd", FIVE, START_MS, Decimal(1), Decimal(3), Decimal(1), Decimal(2), Decimal(1), Decimal(2), 3, START_MS,
    START_MS + 9,
)  # fmt: skip
ROW = prices.HistoryRow("btc-usd", Decimal(2), START_MS, Method.VWAP, ("kraken",), Decimal(1))


@pytest.fixture
async def writer(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    name = f"writer_of_{database_settings.database}"
    with connect_database(database_settings) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'w' IN ROLE priceverse_write".encode())
        owner.execute(f"GRANT {name} TO CURRENT_USER".encode())  # who may end its sessions, too
    as_writer = {"user": name, "password": SecretStr("w")}
    async with Database(database_settings.model_copy(update=as_writer)) as db:
        yield db


async def test_the_writer_does_all_that_children_do(writer: Database) -> None:
    await retention.keep(writer, Retention(raw_days=1, candle_5min_days=2), date(2031, 3, 1))
    await commits.claim(writer, "btc-usd", 1, Position(1, 1))
    await commits.commit(writer, [commits.Portion("btc-usd", Position(1, 1), Position(2, 2), 1, (ROW,), (CANDLE,))])
    await commits.look(writer)
    assert await candles.fill(writer, HOUR, [CANDLE]) == 1
    assert await rollup.roll_up_stale(writer) == 2
    assert (await rollup.backlog(writer)).buckets == 0
    await rates.save(writer, Rate(Decimal("81.25"), date(2031, 3, 1), START_MS))
    await gaps.record(writer, [Loss("kraken", "btc-usd", START_MS, START_MS + 1, LossReason.ABSENT)])
    page = await candles.read(writer, "btc-usd", DAY, from_ms=START_MS, to_ms=START_MS + 1, limit=1)
    assert (page.candles[0].close, page.candles[0].trades) == (Decimal(2), 3)


async def test_looking_for_room_again_and_again_leaves_nothing_behind(writer: Database) -> None:
    for _ in range(3):
        await commits.look(writer)
    sizes = "SELECT pg_relation_size(oid) FROM pg_class WHERE relname = 'room'"  # one of each connection that looked
    kept = await writer.run(lambda connection: connection.execute(sizes).fetchall())
    assert kept
    assert all(size == 0 for (size,) in kept)


@pytest.mark.parametrize("forbidden", ["DROP TABLE gap", "ALTER TABLE checkpoint ADD n int", "CREATE TABLE mine ()"])
async def test_the_writer_changes_no_table(writer: Database, forbidden: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await writer.run(lambda connection: connection.execute(forbidden.encode()))
    assert caught.value.reason is Reason.REFUSED
