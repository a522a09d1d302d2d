"""Redis, or a node of a cluster, dies and its replica takes over: prices and history go on there by themselves."""

from contextlib import suppress

import pytest
import trio

from priceverse.bus import prices, rates
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.clock import now_ms
from priceverse.model.rate import Rate
from priceverse.pricing.convert import moscow_day
from tests.integration.aggregator.conftest import PAIRS, RATE, Market, aggregating, naive
from tests.integration.aggregator.failover import Servers
from tests.integration.aggregator.test_aggregator import eventually, settled_rows
from tests.redis_cluster import ClusterServers


@pytest.fixture(params=[Servers, ClusterServers])
def servers(request, tmp_path):
    with request.param(tmp_path).running() as servers:
        yield servers


async def trade_on(market: Market) -> None:
    while True:
        for pair in sorted(PAIRS):
            with suppress(RedisUnavailable):
                await market.trade(pair)
        await trio.sleep(0.02)


async def test_after_a_failover_prices_and_history_go_on(settings, servers, connect):
    own = settings.model_copy(update={"redis": servers.settings})
    market, heard = Market(own), []

    async def live(door):
        with suppress(RedisUnavailable):
            return await prices.current(door, ["btc-usd", "btc-rub"])
        return {}

    async def slowly(door):
        with suppress(RedisUnavailable):
            return await naive(own, door)

    async def newest():
        await trio.lowlevel.checkpoint()
        return heard[-1].as_of_ms

    async with RedisDoor(own.redis) as door, trio.open_nursery() as nursery:
        await rates.write(door, [Rate(RATE, moscow_day(now_ms()), now_ms())])
        nursery.start_soon(trade_on, market)
        async with aggregating(own, *PAIRS):
            await nursery.start(prices.subscribe, own.redis, ["btc-usd"], heard.append)
            await settled_rows(connect, now_ms())
            await trio.to_thread.run_sync(servers.kill)
            killed_ms = now_ms()
            await eventually(
                lambda: live(door),
                lambda found: len(found) == 2 and all(price.as_of_ms > killed_ms for price in found.values()),
            )
            begun_ms = now_ms()
            found = await settled_rows(connect, begun_ms + 5000)
            await eventually(newest, lambda as_of_ms: as_of_ms > begun_ms)
            slow = await eventually(lambda: slowly(door), bool)
        nursery.cancel_scope.cancel()
    await market.aclose()
    for pair in PAIRS:
        whole = {at: price for name, at, price, *_ in found if name == pair and at - 3000 >= begun_ms}
        assert whole
        assert whole == {at: slow.price(pair, at) for at in range(min(whole), max(whole) + 1, 1000)}
