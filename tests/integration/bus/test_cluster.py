"""What only a cluster does: slots move, and some nodes are away while others are not."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from priceverse.bus import alerts, group, keys
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.bus.entries import BEGINNING
from priceverse.bus.trades import GroupLost, TradeReader, TradeWriter, page
from tests.integration.bus.test_bus import ids, received
from tests.redis_cluster import LOST, MASTERS, ClusterServers, master_of

LOSES, STAYS = "btc-usd", "usdt-usd"


@dataclass
class Bus:
    servers: ClusterServers
    door: RedisDoor
    writer: TradeWriter
    reader: TradeReader


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[ClusterServers]:
    with ClusterServers(tmp_path).running() as servers:
        yield servers


@pytest.fixture
async def bus(servers: ClusterServers) -> AsyncIterator[Bus]:
    """Two streams with a group and nothing in them."""
    writer = TradeWriter(servers.settings, keep_s=60)
    async with RedisDoor(servers.settings) as door, RedisDoor(servers.settings) as reading_door:
        for pair in (LOSES, STAYS):
            await group.seek(door, pair, BEGINNING)
        yield Bus(servers, door, writer, TradeReader(reading_door, "aggregator.1"))
    await writer.aclose()


async def test_a_stream_that_moved_costs_one_attempt(bus: Bus):
    await bus.writer.publish([received(1, LOSES)])
    assert ids((await bus.reader.read([LOSES], {}))[0][LOSES]) == ["1"]
    bus.servers.move(keys.trades(LOSES), (LOST + 1) % MASTERS)
    with pytest.raises(RedisUnavailable):
        await bus.writer.publish([received(2, LOSES)])
    await bus.writer.publish([received(2, LOSES)])
    with pytest.raises(GroupLost):  # so the aggregator lets the group go back to what it has had
        await bus.reader.read([LOSES], {})
    assert ids((await bus.reader.read([LOSES], {}))[0][LOSES]) == ["2"]
    assert await group.acknowledge(bus.door, LOSES, 2**53) == 2


async def test_what_the_other_nodes_gave_is_kept_when_one_is_away(bus: Bus):
    assert [master_of(keys.trades(pair)) == LOST for pair in (LOSES, STAYS)] == [True, False]
    bus.servers.serve_what_is_left()
    await bus.writer.publish([received(1, LOSES), received(2, STAYS)])
    assert (await bus.reader.read([], {LOSES: BEGINNING, STAYS: BEGINNING}))[1].keys() == {LOSES, STAYS}
    bus.servers.lose()
    owned, followed = await bus.reader.read([STAYS, LOSES], {LOSES: BEGINNING})
    assert (ids(owned[STAYS]), owned.keys(), followed) == (["2"], {STAYS}, {})
    with pytest.raises(RedisUnavailable):
        await bus.reader.read([LOSES], {})
    with pytest.raises(RedisUnavailable):
        await bus.door.ping()
    with pytest.raises(RedisUnavailable):
        await page(bus.door, LOSES, BEGINNING)


async def test_after_a_failover_a_ping_finds_who_took_over(bus: Bus):
    await bus.door.ping()
    await trio.to_thread.run_sync(bus.servers.kill)
    await bus.door.ping()


async def test_the_fullest_node_counts(bus: Bus):
    before = await alerts.used_ratio(bus.door)
    await bus.door.run(lambda client: client.set("large", b"x" * 10**8))
    assert await alerts.used_ratio(bus.door) > before > 0
