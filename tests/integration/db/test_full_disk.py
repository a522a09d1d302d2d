"""A disk that is full, as far as one table is concerned: its file is the device that is always full."""

from decimal import Decimal
from pathlib import Path

import pytest

from priceverse.clock import now_ms
from priceverse.config.settings import Database as DatabaseSettings
from priceverse.db import candles, prices
from priceverse.db.pool import Database, DatabaseUnavailable, Reason
from priceverse.db.prices import HistoryRow
from priceverse.embedded.postgres import PostgresServer
from priceverse.model.candle import Interval
from priceverse.model.price import Method
from tests.conftest import connect_database

NOW_MS = now_ms() // 10_000 * 10_000
ROW = HistoryRow("btc-usd", Decimal(1), NOW_MS, Method.VWAP, (), Decimal(1))


@pytest.fixture
def full(own_server: PostgresServer, own_settings: DatabaseSettings) -> Path:
    """The file of today's rows, nowhere to write to."""
    with connect_database(own_settings) as connection:
        query = "SELECT pg_relation_filepath(inhrelid) FROM pg_inherits WHERE inhparent = 'price_history'::regclass"
        today = f"{query} AND inhrelid::regclass::text = 'price_history_' || to_char(to_timestamp(%s), 'YYYYMMDD')"
        found = connection.execute(today.encode(), (NOW_MS / 1000,)).fetchone()
    assert found is not None
    file = own_server._data / str(found[0])
    own_server.stop()
    file.unlink()
    file.symlink_to("/dev/full")
    own_server.start()
    return file


async def test_a_full_disk_is_named_reading_goes_on_and_writing_does_when_there_is_room_again(
    own_server: PostgresServer, own_settings: DatabaseSettings, full: Path
) -> None:
    async with Database(own_settings) as db:
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable, match="No space left") as caught:
                await prices.insert(db, [ROW])
            assert caught.value.reason is Reason.DISK_FULL
        page = await candles.read(db, "btc-usd", Interval.HOUR, from_ms=0, to_ms=NOW_MS, limit=10)
        assert page.total == 0
        own_server.stop()
        make_room(own_server, full)
        own_server.start()
        await prices.insert(db, [ROW])
        assert await prices.latest(db, "btc-usd") == ROW


def make_room(server: PostgresServer, file: Path) -> None:
    file.unlink()
    file.touch(mode=0o600)
    server._account.give(file)
