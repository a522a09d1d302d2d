"""The Redis door against a real Redis."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
import trio
from redis.exceptions import ResponseError

from priceverse.bus import consumers, group, keys, prices, rates, stats, trades
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.bus.entries import BEGINNING, StreamId
from priceverse.bus.pages import SIZE
from priceverse.bus.trades import PAGES, GroupLost, Received, TradeReader, TradeWriter, page
from priceverse.clock import now_ms
from priceverse.config.settings import Redis
from priceverse.model.exchange import Side
from priceverse.model.price import Method, Price
from priceverse.model.rate import Rate
from priceverse.model.trade import Trade
from tests.conftest import connect_redis

PAIR = "btc-usd"


@pytest.fixture
async def door(redis_settings: Redis) -> AsyncIterator[RedisDoor]:
    async with RedisDoor(redis_settings) as door:
        yield door


@pytest.fixture
async def reader(redis_settings: Redis) -> AsyncIterator[TradeReader]:
    async with RedisDoor(redis_settings, extra_timeout_s=trades.BLOCK_S) as door:
        yield TradeReader(door, "aggregator.1")


@pytest.fixture
async def writer(redis_settings: Redis) -> AsyncIterator[TradeWriter]:
    writer = TradeWriter(redis_settings, keep_s=60)
    yield writer
    await writer.aclose()


def received(number: int, pair: str = PAIR) -> Received:
    trade = Trade("kraken", "XBT", pair, Decimal("1.50"), Decimal("2E-8"), now_ms(), str(number), Side.BUY)
    return Received(trade, now_ms())


def ids(entries) -> list[str]:
    return [entry.trade_id for entry in entries.trades]


async def test_what_is_written_is_read_in_order_and_once(door, reader, writer):
    await group.seek(door, PAIR, BEGINNING)
    await writer.publish([received(number) for number in range(3)])
    owned, followed = await reader.read([PAIR], {"usdt-usd": BEGINNING})
    assert ids(owned[PAIR]) == ["0", "1", "2"]
    assert (owned[PAIR].trades[0].price, str(owned[PAIR].trades[0].volume)) == (Decimal("1.50"), "2E-8")
    assert followed["usdt-usd"].trades == []
    again, _ = await reader.read([PAIR], {})
    assert ids(again[PAIR]) == []


async def test_complete_says_up_to_where_nothing_is_missing(door, reader, writer):
    """Whatever is appended after a read has an id at or beyond what that read called complete."""
    await group.seek(door, PAIR, BEGINNING)
    for number in range(20):
        await writer.publish([received(number)])
        owned, _ = await reader.read([PAIR], {})
        complete_ms = owned[PAIR].complete_ms
        await writer.publish([received(1000 + number)])
        later, _ = await reader.read([PAIR], {})
        assert all(entry.id[0] >= complete_ms for entry in later[PAIR].trades)


async def test_a_full_page_is_complete_up_to_its_last_entry_only(door, writer):
    await writer.publish([received(number) for number in range(SIZE + 5)])
    first = await page(door, PAIR, BEGINNING)
    assert (len(first.trades), first.is_full, first.complete_ms) == (SIZE, True, first.last.ms)
    rest = await page(door, PAIR, first.last)
    assert (len(rest.trades), rest.is_full) == (5, False)
    assert rest.complete_ms >= rest.last.ms


@pytest.mark.parametrize(("beyond", "is_full"), [(1, True), (0, True), (-1, False)])
async def test_a_read_is_pages_in_a_row(door, reader, writer, beyond, is_full):
    count = PAGES * SIZE + beyond
    await writer.publish([received(number) for number in range(count)])
    await group.seek(door, PAIR, BEGINNING)
    first = (await reader.read([PAIR], {}))[0][PAIR]
    assert ids(first) == [str(number) for number in range(min(count, PAGES * SIZE))]
    assert (first.is_full, first.complete_ms == first.last.ms) == (is_full, is_full)
    rest = (await reader.read([PAIR], {}))[0][PAIR]
    assert (len(rest.trades), rest.is_full) == (max(beyond, 0), False)


async def test_entries_of_others_are_counted_and_passed_over(door, writer):
    await writer.publish([received(1)])
    await door.run(lambda client: client.xadd(keys.trades(PAIR), {"spam": "1"}))
    await writer.publish([received(2)])
    found = await page(door, PAIR, BEGINNING)
    assert (ids(found), found.unreadable) == (["1", "2"], 1)


async def test_a_reader_that_blocks_wakes_with_the_first_trade(door, reader, writer):
    await group.seek(door, PAIR, BEGINNING)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.publish, [received(1)])
            owned, _ = await reader.read([PAIR], {})
            while not owned[PAIR].trades:
                owned, _ = await reader.read([PAIR], {})
    assert ids(owned[PAIR]) == ["1"]


async def test_an_emptied_redis_is_told_and_made_good(door, reader, writer):
    await group.seek(door, PAIR, BEGINNING)
    await door.run(lambda client: client.flushall())
    with pytest.raises(GroupLost):
        await reader.read([PAIR], {})
    await group.seek(door, PAIR, StreamId(1, 1))
    await writer.publish([received(1)])
    owned, _ = await reader.read([PAIR], {})
    assert ids(owned[PAIR]) == ["1"]


async def test_seeking_back_and_forth_moves_the_group(door, reader, writer):
    await writer.publish([received(number) for number in range(3)])
    everything = await page(door, PAIR, BEGINNING)
    await group.seek(door, PAIR, everything.last)
    assert ids((await reader.read([PAIR], {}))[0][PAIR]) == []
    await group.seek(door, PAIR, StreamId(*everything.trades[0].id))
    assert ids((await reader.read([PAIR], {}))[0][PAIR]) == ["1", "2"]


async def test_acknowledging_settles_what_any_consumer_left_behind(door, redis_settings, writer):
    await group.seek(door, PAIR, BEGINNING)
    await writer.publish([received(number) for number in range(group.SWEEP + 10)])
    for consumer in ("dead", "alive"):
        await TradeReader(door, consumer).read([PAIR], {})
    oldest = await group.oldest_pending(door, PAIR)
    assert oldest == (await page(door, PAIR, BEGINNING)).trades[0].id
    assert (await group.backlog(door, [PAIR, "none"])) == {PAIR: group.Backlog(lag=0, pending=group.SWEEP + 10)}
    assert await group.acknowledge(door, PAIR, oldest.ms) == 0
    assert await group.acknowledge(door, PAIR, now_ms() + 1000) == group.SWEEP + 10
    assert await group.oldest_pending(door, PAIR) is None


async def test_without_a_group_nothing_is_pending(door):
    assert await group.oldest_pending(door, PAIR) is None
    assert await group.acknowledge(door, PAIR, now_ms()) == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda door: group.seek(door, PAIR, BEGINNING),
        lambda door: group.oldest_pending(door, PAIR),
        lambda door: group.acknowledge(door, PAIR, 1),
        lambda door: TradeReader(door, "a").read([PAIR], {}),
    ],
)
async def test_a_key_of_another_type_is_not_taken_for_an_emptied_redis(door, use):
    await door.run(lambda client: client.set(keys.trades(PAIR), b"surprise"))
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await use(door)


async def test_writing_nothing_is_nothing(door, writer):
    await writer.publish([])
    assert await door.run(lambda client: client.dbsize()) == 0


async def test_old_trades_are_forgotten(door, redis_settings):
    old = now_ms() - 120_000
    for number in range(500):  # Redis forgets whole nodes of 100
        await door.run(lambda client, n=number: client.xadd(keys.trades(PAIR), {"a": "b"}, id=f"{old}-{n + 1}"))
    writer = TradeWriter(redis_settings, keep_s=60)
    await writer.publish([received(1)])
    await writer.aclose()
    assert await door.run(lambda client: client.xlen(keys.trades(PAIR))) < 200


A_PRICE = Price(
    pair=PAIR,
    price=Decimal("64000.00000001"),
    volume=Decimal(1),
    method=Method.VWAP,
    sources=("kraken",),
    as_of_ms=1,
    computed_ms=2,
    window_start_ms=0,
    window_end_ms=3,
    sequence=1,
    confidence_bps=Decimal(0),
    degraded=False,
    details=(),
)


async def test_a_price_is_a_key_that_expires_and_an_announcement(door):
    await prices.PriceWriter(door).publish([A_PRICE])
    assert await prices.current(door, [PAIR, "eth-usd"]) == {PAIR: A_PRICE}
    assert 0 < await door.run(lambda client: client.ttl(keys.price(PAIR))) <= keys.PRICE_TTL_S


async def test_something_else_under_a_price_key_is_no_price(door):
    await door.run(lambda client: client.set(keys.price(PAIR), b"surprise"))
    assert await prices.current(door, [PAIR]) == {}


async def test_a_subscriber_gets_the_current_price_and_every_later_one(door, redis_settings):
    writer = prices.PriceWriter(door)
    await writer.publish([A_PRICE])
    send, seen = trio.open_memory_channel[Price](100)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(10):
            await nursery.start(prices.subscribe, redis_settings, [PAIR, "eth-usd"], send.send_nowait)
            assert await seen.receive() == A_PRICE
            for sequence in (2, 3):
                await writer.publish([replace(A_PRICE, sequence=sequence)])
                assert (await seen.receive()).sequence == sequence
        nursery.cancel_scope.cancel()


async def test_a_subscriber_that_was_cut_off_catches_up(door, redis_settings):
    send, seen = trio.open_memory_channel[Price](100)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(20):
            await nursery.start(prices.subscribe, redis_settings, [PAIR], send.send_nowait)
            await door.run(lambda client: client.client_kill_filter(_type="pubsub"))
            await door.run(lambda client: client.set(keys.price(PAIR), prices.encode(A_PRICE)))  # nobody hears this
            assert await seen.receive() == A_PRICE
        nursery.cancel_scope.cancel()


async def test_silence_is_taken_for_a_loss(door, redis_settings):
    send, seen = trio.open_memory_channel[Price](100)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(20):
            subscribing = lambda **kwargs: prices.subscribe(  # noqa: E731
                redis_settings, [PAIR], send.send_nowait, silence_s=0.5, **kwargs
            )
            await nursery.start(subscribing)
            await door.run(lambda client: client.set(keys.price(PAIR), prices.encode(A_PRICE)))
            assert await seen.receive() == A_PRICE
        nursery.cancel_scope.cancel()


async def test_rates_are_kept_by_date(door):
    assert await rates.read(door) == ()
    known = (Rate(Decimal("80.5"), date(2026, 3, 10), 1), Rate(Decimal(81), date(2026, 3, 11), 2))
    await rates.write(door, known[::-1])
    assert await rates.read(door) == known
    assert await door.run(lambda client: client.ttl(keys.RATE)) == -1


@pytest.mark.parametrize("payload", [b"90", b'{"rates":[{"usd":"0","date":"2026-01-01","fetched":1}]}'])
async def test_an_unreadable_rate_is_no_rate(door, payload):
    await door.run(lambda client: client.set(keys.RATE, payload))
    assert await rates.read(door) == ()


async def test_reports_live_half_a_minute(door):
    await stats.report(door, "here", "collector.okx", {"connected": True})
    assert await stats.collect(door, "here", ["collector.okx", "rates"]) == {"collector.okx": {"connected": True}}
    assert await stats.collect(door, "elsewhere", ["collector.okx"]) == {}
    assert await stats.collect(door, "here", []) == {}
    assert 0 < await door.run(lambda client: client.ttl(keys.stats("here", "collector.okx"))) <= keys.STATS_TTL_S


async def test_redis_away_is_one_exception(tmp_path):
    async with RedisDoor(Redis(unix_socket=tmp_path / "nobody")) as door:
        with pytest.raises(RedisUnavailable):
            await door.ping()


async def test_a_redis_that_takes_no_writes_is_away(redis_settings, writer):
    with connect_redis(redis_settings) as client:
        servers = [client]
        if redis_settings.cluster_nodes:
            servers = [client.get_redis_connection(node) for node in client.get_primaries()]
        try:
            for server in servers:
                server.config_set("min-replicas-to-write", 9)
            with pytest.raises(RedisUnavailable, match="NOREPLICAS"):
                await writer.publish([received(1), received(2)])
        finally:
            for server in servers:
                server.config_set("min-replicas-to-write", 0)
    assert await writer.publish([received(1)]) == {}


async def test_a_ping_takes_some_time(door):
    assert await door.ping() > 0


async def test_of_a_stream_that_is_gone_nobody_has_read(door):
    assert not await consumers.others_read(door, PAIR, "aggregator.1", BEGINNING)
    await consumers.tidy(door, PAIR)


async def test_prices_that_come_together_are_handed_over_in_their_order(door, redis_settings, nursery):
    heard: list[int] = []
    most = prices.MOST_AT_ONCE
    seen = trio.Event()

    def hear(price: Price) -> None:
        heard.append(price.sequence)
        if price.sequence == most + 5:
            seen.set()

    await nursery.start(prices.subscribe, redis_settings, [PAIR], hear)
    await prices.PriceWriter(door).publish([replace(A_PRICE, sequence=n) for n in range(1, most + 6)])
    with trio.fail_after(10):
        await seen.wait()
    assert heard == list(range(1, most + 6))
