"""What a stream lacks, written ahead of the trades behind it and read by whoever comes next."""

import pytest

from priceverse.bus import keys, marks
from priceverse.bus.client import RedisDoor
from priceverse.bus.marks import Place
from priceverse.bus.trades import TradeWriter
from priceverse.config.settings import Redis
from tests.conftest import connect_redis

KEY = keys.backfill("okx", "btc-usd")
PLACE = Place("41", 1_790_000_000_000, 1_790_000_000_500, ((42, 44, 1, 2),), (5, 6))


async def test_written_read_and_removed(redis_settings: Redis) -> None:
    writer = TradeWriter(redis_settings, keep_s=60)
    async with RedisDoor(redis_settings) as door:
        assert await marks.read(door, "okx", "btc-usd") is None
        await writer.publish([], {KEY: PLACE})
        assert await marks.read(door, "okx", "btc-usd") == PLACE
        with connect_redis(redis_settings) as client:
            assert 0 < client.ttl(KEY) <= keys.BACKFILL_TTL_S
        await writer.publish([], {KEY: None})
        assert await marks.read(door, "okx", "btc-usd") is None
    await writer.aclose()


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b"null", b'{"trade_id": 1}', b"\xff\xfe", b"[" * 5000])
async def test_one_that_cannot_be_read_is_as_none(redis_settings: Redis, rubbish: bytes) -> None:
    with connect_redis(redis_settings) as client:
        client.set(KEY, rubbish)
    async with RedisDoor(redis_settings) as door:
        assert await marks.read(door, "okx", "btc-usd") is None
