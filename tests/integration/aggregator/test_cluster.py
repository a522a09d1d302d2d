"""The aggregator on a Redis Cluster: its streams, leases and prices on different nodes, the same rows and prices."""

from statistics import median

import pytest
import trio

from priceverse.bus import keys, prices
from priceverse.clock import now_ms
from tests.conftest import emptied
from tests.integration.aggregator.conftest import PAIRS, aggregating
from tests.integration.aggregator.test_aggregator import (  # noqa: F401 - on a cluster, too
    test_a_pair_moves_to_another_aggregator_without_a_gap,
    test_killed_and_restarted_it_leaves_the_rows_of_an_uninterrupted_run,
    test_trades_become_live_prices_and_exact_history,
)
from tests.redis_cluster import MASTERS, master_of

LATENCY_MS = 400


@pytest.fixture
def redis_settings(redis_cluster):
    return emptied(redis_cluster)


def test_the_streams_are_on_all_masters():
    assert {master_of(keys.trades(pair)) for pair in PAIRS} == set(range(MASTERS))


async def test_a_trade_is_heard_as_a_price_soon(settings, market):
    """On whatever node its stream, its price and the subscriber are."""
    send, heard = trio.open_memory_channel[prices.Price](1000)
    took_ms = []
    async with trio.open_nursery() as nursery, aggregating(settings, *PAIRS):
        await nursery.start(prices.subscribe, settings.redis, sorted(PAIRS), send.send_nowait)
        with trio.fail_after(30):
            for pair in sorted(PAIRS) * 5:
                await trio.sleep(0.1)
                began_ms = (await market.trade(pair)).trade.timestamp_ms
                while (price := await heard.receive()).pair != pair or price.as_of_ms < began_ms:
                    pass
                took_ms.append(now_ms() - began_ms)
        nursery.cancel_scope.cancel()
    assert median(took_ms) < LATENCY_MS
