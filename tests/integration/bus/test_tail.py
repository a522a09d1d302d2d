"""What a restarted collector finds of its own in the streams."""

from decimal import Decimal

from priceverse.bus import tail
from priceverse.bus.client import RedisDoor
from priceverse.bus.trades import Received, TradeWriter
from priceverse.clock import now_ms
from priceverse.config.settings import Redis
from priceverse.model.exchange import Exchange, Side
from priceverse.model.trade import Trade
from tests.conftest import connect_redis


def received(exchange: Exchange, number: int) -> Received:
    one = Decimal("1.50")
    return Received(Trade(exchange, "X", "btc-usd", one, one, now_ms(), str(number), Side.BUY), now_ms())


async def test_the_newest_of_one_exchange_oldest_first(redis_settings: Redis) -> None:
    writer = TradeWriter(redis_settings, keep_s=60)
    await writer.publish([received(exchange, n) for n in range(3) for exchange in (Exchange.OKX, Exchange.KRAKEN)])
    await writer.aclose()
    with connect_redis(redis_settings) as client:
        client.xadd("stream:trades:btc-usd", {"not": "ours"})
    async with RedisDoor(redis_settings) as door:
        found = (await tail.newest(door, "btc-usd", Exchange.OKX)).trades
        assert (await tail.newest(door, "eth-usd", Exchange.OKX)).trades == []
    assert [entry.trade_id for entry in found] == ["0", "1", "2"]
    assert found[0].price == Decimal("1.50")
