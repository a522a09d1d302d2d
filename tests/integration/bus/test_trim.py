"""Trimming in a real Redis: age takes what was read, the cap alone what was not, and that is told."""

import pytest

from priceverse.bus import group, keys
from priceverse.bus.client import RedisDoor, connect
from priceverse.bus.entries import BEGINNING, StreamId
from priceverse.bus.trim import trim
from priceverse.config.settings import Redis

PAIR = "btc-usd"
STREAM = keys.trades(PAIR)
COUNT = 1000
FAR = 10**6


@pytest.fixture
def client(redis_settings: Redis):
    """A Redis with a stream of entries 1-0 … 1000-0, in nodes small enough to be cut anywhere near."""
    with connect(redis_settings) as client:
        before = client.config_get("stream-node-max-entries")
        client.config_set("stream-node-max-entries", 10)
        for ms in range(1, COUNT + 1):
            client.xadd(STREAM, {"n": ms}, id=f"{ms}-0")
        yield client
        client.config_set("stream-node-max-entries", before["stream-node-max-entries"])


def first_ms(client) -> int:
    return StreamId.parse(client.xrange(STREAM, count=1)[0][0]).ms


def deliver(client, count: int) -> None:
    """Let the group read the first entries, without acknowledging them."""
    client.xgroup_create(STREAM, keys.GROUP, id="0")
    if count:
        client.xreadgroup(keys.GROUP, "aggregator.1", {STREAM: ">"}, count=count)


def acknowledge(client, count: int) -> None:
    """Let the group be done with the first entries."""
    for ms in range(1, count + 1):
        client.xack(STREAM, keys.GROUP, f"{ms}-0")


def test_without_a_reader_age_alone_decides(client):
    assert trim(client, PAIR, 500, FAR) == 0
    assert 480 < first_ms(client) <= 500


@pytest.mark.parametrize("delivered", [0, 1, 300])
def test_what_is_unread_or_pending_outlives_its_age(client, delivered):
    deliver(client, delivered)
    assert trim(client, PAIR, 900, FAR) == 0
    assert client.xlen(STREAM) == COUNT
    acknowledge(client, delivered)
    assert trim(client, PAIR, 900, FAR) == 0
    assert max(1, delivered - 10) <= first_ms(client) <= delivered + 1


def test_what_is_read_and_acknowledged_goes_by_age(client):
    deliver(client, COUNT)
    acknowledge(client, COUNT)
    assert trim(client, PAIR, 300, FAR) == 0
    assert 280 < first_ms(client) <= 300


def test_the_cap_takes_what_was_read_first_and_says_nothing(client):
    deliver(client, 600)
    acknowledge(client, 600)
    assert trim(client, PAIR, 1, 400) == 0
    assert first_ms(client) == 601


def test_the_cap_takes_unread_entries_too_and_says_how_many(client):
    deliver(client, 600)
    acknowledge(client, 600)
    cut = trim(client, PAIR, 1, 100)
    assert 280 < cut <= 300
    assert client.xlen(STREAM) == 400 - cut


def test_what_nobody_reads_is_capped_in_silence(client):
    assert trim(client, PAIR, 1, 100) == 0
    assert 100 <= client.xlen(STREAM) < 120


def test_a_stream_that_is_not_there_is_none(client):
    client.delete(STREAM)
    assert trim(client, PAIR, 900, 100) == 0


async def test_a_group_that_was_put_back_needs_more(client, redis_settings: Redis):
    deliver(client, COUNT)
    acknowledge(client, COUNT)
    async with RedisDoor(redis_settings) as door:
        await group.seek(door, PAIR, BEGINNING)
    assert trim(client, PAIR, 900, FAR) == 0
    assert first_ms(client) == 1
