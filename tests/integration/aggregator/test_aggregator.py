"""An aggregator between a real Redis and a real PostgreSQL: what goes in, what comes out, and what may happen to it."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest
import trio

from priceverse.aggregator import history, plan
from priceverse.bus import group, keys, prices, stats
from priceverse.bus.client import RedisDoor
from priceverse.bus.trades import BEGINNING, TradeReader
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.embedded.redis import RedisServer
from priceverse.pricing.schedule import SKEW_MS, Position
from tests.conftest import connect_database
from tests.fakes.relay import RedisRelay
from tests.integration.aggregator.conftest import PAIRS, RATE, Market, aggregating, naive

LIMIT_S = 30


async def eventually(question, condition, within_s=60.0):
    """Ask until the answer is as wanted."""
    with trio.fail_after(within_s):
        while not condition(answer := await question()):  # noqa: ASYNC110 - the answer comes from outside this process
            await trio.sleep(0.05)
    return answer


def rows(connect):
    with connect() as connection:
        return connection.execute(
            "SELECT pair::text, (extract(epoch FROM timestamp) * 1000)::bigint, price, sources, volume"
            " FROM price_history ORDER BY timestamp, pair"
        ).fetchall()


async def settled_rows(connect, until_ms):
    """Wait until every source pair has its row of `until_ms` or later, then return all rows."""

    async def ask():
        return rows(connect)

    def all_there(found):
        return all(any(pair == name and at >= until_ms for name, at, *_ in found) for pair in PAIRS)

    return await eventually(ask, all_there)


async def assert_rows_are_exact(settings: Settings, door: RedisDoor, found) -> None:
    """Every instant between the first row and the last is there once, and equals the slow computation."""
    slow = await naive(settings, door)
    for pair in PAIRS:
        mine = {at: price for name, at, price, *_ in found if name == pair}
        assert len(mine) == sum(name == pair for name, *_ in found)
        instants = range(min(mine), max(mine) + 1, settings.aggregation.interval)
        assert mine == {at: price for at in instants if (price := slow.price(pair, at)) is not None}


def candles(connect):
    """Return the stream time that every pair is at, and its candles by start."""
    with connect() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # candles and the positions they are at
        reached = dict(connection.execute("SELECT pair::text, split_part(stream_id, '-', 1)::bigint FROM checkpoint"))
        found = connection.execute(
            "SELECT pair::text, (extract(epoch FROM timestamp) * 1000)::bigint, open, high, low, close, volume,"
            " quote_volume, trade_count FROM price_history_5min"
        ).fetchall()
    return reached, {
        pair: {
            start_ms: (*prices_, Fraction(volume), Fraction(value), count)
            for name, start_ms, *prices_, volume, value, count in found
            if name == pair
        }
        for pair in PAIRS
    }


async def assert_candles_are_exact(settings: Settings, door: RedisDoor, connect) -> None:
    """The buckets hold every trade of what is settled, once, to the last digit: the open one too."""
    slow = await naive(settings, door)
    reached, stored = candles(connect)
    for pair in PAIRS:
        assert stored[pair] == slow.candles(pair, reached[pair] + 1)


async def test_trades_become_live_prices_and_exact_history(settings, door, market: Market, connect):
    begun_ms = now_ms()
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        async with aggregating(settings, *PAIRS) as aggregator:
            live = await eventually(
                lambda: prices.current(door, [*PAIRS, "btc-rub", "xmr-rub"]), lambda found: len(found) == 5
            )
            assert begun_ms - 1500 <= live["btc-usd"].as_of_ms <= now_ms() + 100  # the market's clocks are that far off
            assert live["btc-rub"].rate == RATE
            assert abs(live["btc-rub"].price / live["btc-usd"].price - RATE) < Decimal("0.5")
            found = await settled_rows(connect, now_ms() + 3000)
            await assert_rows_are_exact(settings, door, found)
            await assert_candles_are_exact(settings, door, connect)
            roubles = {at: price for name, at, price, *_ in found if name == "btc-rub"}
            dollars = {at: (price, sources) for name, at, price, sources, _ in found if name == "btc-usd"}
            assert roubles.keys() == dollars.keys()
            assert all(abs(price - dollars[at][0] * RATE) < Decimal("1e-6") for at, price in roubles.items())
            said = aggregator.stats()
            assert said["pairs"]["btc-usd"]["window_trades"] > 0
            assert said["publish_p99_ms"] >= said["publish_p50_ms"] >= 0
        nursery.cancel_scope.cancel()


async def test_what_the_next_owner_needs_stays_unacknowledged(settings, door, market):
    """What is acknowledged may be trimmed once it is old, and nobody may own a pair for longer than that."""
    await group.seek(door, "usdt-usd", BEGINNING)
    for _ in range(3):
        await market.trade("usdt-usd")
    read, _ = await TradeReader(door, "me").read(["usdt-usd"], {})
    after_ms, grid = read["usdt-usd"].last.ms + 1, plan.grid(settings)
    for instant_ms, pending in ((after_ms + SKEW_MS, 3), (after_ms + grid.window_ms + SKEW_MS, 0)):
        await history.acknowledge(door, grid, {"usdt-usd": Position(instant_ms + 5000, instant_ms)})
        assert (await group.backlog(door, ["usdt-usd"]))["usdt-usd"].pending == pending


async def test_killed_and_restarted_it_leaves_the_rows_of_an_uninterrupted_run(settings, door, market, connect):
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        begun_ms = now_ms()
        for number in range(6):
            async with aggregating(settings, *PAIRS, child=f"aggregator.{number % 2}"):
                await trio.sleep(0.3 + 0.45 * number)
            await trio.sleep(0.2 * number)
        async with aggregating(settings, *PAIRS):
            found = await settled_rows(connect, now_ms())
        nursery.cancel_scope.cancel()
    assert min(at for _, at, *_ in found) <= begun_ms + 2000
    await assert_rows_are_exact(settings, door, found)
    await assert_candles_are_exact(settings, door, connect)


@pytest.mark.parametrize("lateness_ms", [0, 2500])
async def test_restarted_with_another_lateness_it_counts_every_trade_once(settings, door, market, connect, lateness_ms):
    changed = settings.aggregation.model_copy(update={"lateness_ms": lateness_ms})
    other = settings.model_copy(update={"aggregation": changed})
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        for turn in (settings, other, settings, other):
            async with aggregating(turn, *PAIRS):
                await another_row(connect)
                await another_row(connect)
        async with aggregating(settings, *PAIRS):
            found = await settled_rows(connect, now_ms())
            slow = await naive(settings, door)
            reached, stored = candles(connect)
        nursery.cancel_scope.cancel()
    for pair in PAIRS:
        undisturbed = slow.candles(pair, reached[pair] + 1)
        assert {at: counted(found) for at, found in stored[pair].items()} == {
            at: counted(found) for at, found in undisturbed.items()
        }
        instants = sorted(at for name, at, *_ in found if name == pair)
        assert instants == list(range(instants[0], instants[-1] + 1, settings.aggregation.interval))
    assert stored["usdt-usd"] == slow.candles("usdt-usd", reached["usdt-usd"] + 1)  # to the byte: nothing to convert


async def another_row(connect):
    """Wait until every source pair has a row more than now."""

    async def ask():
        return Counter(name for name, *_ in rows(connect))

    before = await ask()
    await eventually(ask, lambda found: all(found[name] > before[name] for name in PAIRS))


def counted(candle):
    """What of a candle does not depend on a conversion: volume and number of trades."""
    return candle[4], candle[6]


async def test_what_redis_said_and_nobody_heard_is_read_again(settings, door, market, connect):
    relay = RedisRelay(settings.redis)
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        behind = settings.model_copy(update={"redis": await relay.open(nursery)})
        async with aggregating(behind, *PAIRS):
            for number in range(1, 6):
                relay.swallow = b"stream:trades:btc-usd"
                with trio.fail_after(60):
                    while relay.swallowed < number:  # noqa: ASYNC110 - the relay tells nobody
                        await trio.sleep(0.01)
            found = await settled_rows(connect, now_ms() + 1000)
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(settings, door, found)
    await assert_candles_are_exact(settings, door, connect)


async def test_a_pair_moves_to_another_aggregator_without_a_gap(settings, door, market, connect):
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        async with aggregating(settings, *PAIRS, child="a") as one, aggregating(settings, child="b") as other:
            await trio.sleep(1.5)
            await one.own("btc-usd")
            assert one.stats()["pairs"].keys() == {"btc-usd"}
            await other.own("xmr-usd", "usdt-usd")
            await trio.sleep(1.5)
            await one.own()
            await other.own(*PAIRS)
            found = await settled_rows(connect, now_ms() + 1000)
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(settings, door, found)
    await assert_candles_are_exact(settings, door, connect)


async def test_told_to_stop_it_stores_what_is_settled_and_ends(settings, door, market, connect):
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        with trio.fail_after(20):
            async with aggregating(settings, "usdt-usd") as aggregator:
                await trio.sleep(2)
                aggregator.stopping.set()
                await aggregator.ended.wait()
        nursery.cancel_scope.cancel()
    stored = {at for name, at, *_ in rows(connect) if name == "usdt-usd"}
    assert max(stored) >= now_ms() - 3000


async def test_an_emptied_redis_is_filled_again_and_history_goes_on(settings, door, market, connect):
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        async with aggregating(settings, *PAIRS):
            await eventually(lambda: prices.current(door, ["btc-usd"]), bool)
            await trio.sleep(1)
            await door.run(lambda client: client.flushall())
            flushed_ms = now_ms()
            await eventually(
                lambda: prices.current(door, ["btc-usd", "xmr-usd"]),
                lambda found: len(found) == 2 and found["btc-usd"].as_of_ms > flushed_ms,
            )
            begun_ms = now_ms()
            found = await settled_rows(connect, begun_ms + 4000)
        nursery.cancel_scope.cancel()
    instants = sorted(at for name, at, *_ in found if name == "btc-usd")
    assert instants == list(range(instants[0], instants[-1] + 1, 1000))
    slow = await naive(settings, door)
    whole = [at for at in instants if at - 3000 >= begun_ms]  # windows that lie after the loss altogether
    assert whole
    assert {at: price for name, at, price, *_ in found if name == "btc-usd" and at in whole} == {
        at: slow.price("btc-usd", at) for at in whole
    }


async def test_a_quiet_pair_keeps_its_last_price_over_a_restart(settings, door, market):
    async with aggregating(settings, *PAIRS):
        await market.trade("btc-usd", price=Decimal(64000))
        before = await eventually(lambda: prices.current(door, ["btc-usd"]), bool)
        await trio.sleep(4)  # the window is empty now
    aged = settings.model_copy(update={"aggregation": settings.aggregation.model_copy(update={"stream_keep_s": 1})})
    await door.run(lambda client: client.persist("price:btc-usd"))
    async with aggregating(aged, *PAIRS):
        await eventually(lambda: door.run(lambda client: client.ttl("price:btc-usd")), lambda ttl: ttl > 0)
        assert await prices.current(door, ["btc-usd"]) == before


async def test_without_a_rate_only_dollar_prices_go_out(settings, door, market):
    await door.run(lambda client: client.delete("rate:usd-rub"))
    async with aggregating(settings, *PAIRS) as aggregator:
        await market.trade("xmr-usd")
        await market.trade("usdt-usd")
        await eventually(lambda: prices.current(door, ["xmr-usd"]), bool)
        assert await prices.current(door, ["xmr-rub"]) == {}
        assert aggregator.stats()["pairs"]["xmr-usd"]["rate_fault"] == "rate_missing"


async def test_it_reports_itself_on_the_bus(settings, door, market):
    async with aggregating(settings, *PAIRS, child="aggregator.7"):
        found = await eventually(
            lambda: stats.collect(door, settings.app.name, ["aggregator.7", "nobody"]),
            lambda found: found.get("aggregator.7", {}).get("pairs"),
        )
    assert found["aggregator.7"]["pairs"].keys() == PAIRS
    assert "nobody" not in found


def own_connect(server):
    return lambda: connect_database(Settings(database=server.settings).database)


async def test_postgres_away_costs_no_row_and_holds_up_no_live_price(settings, door, market, own_postgres):
    own = settings.model_copy(update={"database": Settings(database=own_postgres.settings).database})
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        async with aggregating(own, *PAIRS):
            await settled_rows(own_connect(own_postgres), now_ms() - 2000)
            own_postgres.stop()
            stopped_ms = now_ms()
            await trio.sleep(1)
            live = await prices.current(door, ["btc-usd"])
            assert live["btc-usd"].as_of_ms > stopped_ms
        async with aggregating(own, *PAIRS) as aggregator:  # restarted while PostgreSQL is away
            await eventually(
                lambda: prices.current(door, ["btc-usd"]), lambda p: p["btc-usd"].as_of_ms > now_ms() - 900
            )
            assert aggregator.stats()["history_waiting"] >= 0
            await trio.sleep(1.5)
            own_postgres.start()
            found = await settled_rows(own_connect(own_postgres), now_ms())
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(own, door, found)
    await assert_candles_are_exact(own, door, own_connect(own_postgres))


async def test_without_a_word_of_postgres_and_of_the_group_nothing_is_left_out(settings, door, market, own_postgres):
    """Who takes over must guess where to begin, and is told later that it was not there."""
    own = settings.model_copy(update={"database": Settings(database=own_postgres.settings).database})
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        async with aggregating(own, *PAIRS):
            await another_row(own_connect(own_postgres))
            own_postgres.stop()
        for pair in PAIRS:
            await door.run(lambda client: client.xgroup_destroy(keys.trades(pair), keys.GROUP))  # noqa: B023 - awaited right here
        await trio.sleep(4)  # longer than the window that is guessed
        async with aggregating(own, *PAIRS):
            await eventually(lambda: prices.current(door, PAIRS), lambda found: len(found) == len(PAIRS))
            own_postgres.start()
            found = await settled_rows(own_connect(own_postgres), now_ms())
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(own, door, found)
    await assert_candles_are_exact(own, door, own_connect(own_postgres))


async def test_an_outbox_that_was_full_loses_nothing(settings, door, market, own_postgres, monkeypatch):
    """What it gave up is computed again from the stream, where it is not acknowledged."""
    monkeypatch.setattr(history, "MAX_WAITING", 20)
    own = settings.model_copy(update={"database": Settings(database=own_postgres.settings).database})
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        async with aggregating(own, *PAIRS) as aggregator:
            await another_row(own_connect(own_postgres))
            own_postgres.stop()
            with trio.fail_after(60):
                while not aggregator.stats()["history_dropped"]:  # noqa: ASYNC110 - nobody tells
                    await trio.sleep(0.1)
            own_postgres.start()
            found = await settled_rows(own_connect(own_postgres), now_ms())
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(own, door, found)
    await assert_candles_are_exact(own, door, own_connect(own_postgres))


async def test_nobody_owned_a_pair_for_longer_than_entries_are_kept(settings, door, market, connect):
    kept = settings.aggregation.model_copy(update={"stream_keep_s": 1})
    brief = settings.model_copy(update={"aggregation": kept})
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        async with aggregating(brief, *PAIRS):
            await another_row(connect)
        await trio.sleep(4)
        async with aggregating(brief, *PAIRS):
            found = await settled_rows(connect, now_ms())
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(settings, door, found)
    await assert_candles_are_exact(settings, door, connect)


async def test_redis_restarted_empty_is_found_again(settings, tmp_path, connect):
    server = RedisServer(tmp_path)
    server.start()
    try:
        own = settings.model_copy(update={"redis": Settings(redis=server.settings).redis})
        door, market = RedisDoor(own.redis), Market(own)
        async with aggregating(own, *PAIRS):
            await market.trade("btc-usd")
            await market.trade("usdt-usd")
            before = await eventually(lambda: prices.current(door, ["btc-usd"]), bool)
            server.stop()
            (tmp_path / "redis").joinpath("appendonlydir").rename(tmp_path / "gone")
            await trio.sleep(0.7)
            server.start()
            again = await eventually(lambda: current_or_nothing(door), bool)
            assert again["btc-usd"].sequence >= before["btc-usd"].sequence
            await market.trade("usdt-usd")
            await market.trade("btc-usd", price=Decimal(65000))
            await eventually(
                lambda: prices.current(door, ["btc-usd"]), lambda p: p["btc-usd"].sequence > again["btc-usd"].sequence
            )
        await market.aclose()
        await door.aclose()
    finally:
        server.stop()


async def current_or_nothing(door):
    try:
        return await prices.current(door, ["btc-usd"])
    except Exception:  # noqa: BLE001 - away
        return {}
