"""One owner per pair, whatever becomes of processes: paused, killed, on two hosts, or with Redis emptied."""

import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import trio

from priceverse.bus import group, keys, prices
from priceverse.bus.trades import TradeReader
from priceverse.clock import now_ms
from priceverse.config.settings import Aggregation, Settings
from tests.integration.aggregator.conftest import PAIRS, Market, Running, aggregating
from tests.integration.aggregator.test_aggregator import (
    assert_candles_are_exact,
    assert_rows_are_exact,
    eventually,
    settled_rows,
)

BLOCKED = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
OWNER = Path(__file__).with_name("owner.py")


def leasing(settings: Settings, lease_ms: int) -> Settings:
    return settings.model_copy(update={"aggregation": settings.aggregation.model_copy(update={"lease_ms": lease_ms})})


@pytest.fixture
def start_owner():
    """Start a process that owns all pairs; it is gone in the end."""
    started = []

    def start(settings: Settings) -> "subprocess.Popen[bytes]":
        given = settings.model_dump_json(context={"secrets": True})
        started.append(subprocess.Popen([sys.executable, str(OWNER), given, *PAIRS], stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(timeout=20)
        process.stdout.close()


async def owning(process) -> None:
    with trio.fail_after(60):
        assert await trio.to_thread.run_sync(process.stdout.readline) == b"owning\n"


async def owns_all(aggregator: Running) -> None:
    async def ask():
        await trio.lowlevel.checkpoint()
        return aggregator.stats()["pairs"].keys()

    await eventually(ask, lambda owned: owned == PAIRS, 60)


def epochs(connect) -> dict[str, int]:
    with connect() as connection:
        return dict(connection.execute("SELECT pair::text, epoch FROM checkpoint").fetchall())


async def test_an_owner_that_was_paused_writes_nothing_when_it_wakes_up(
    settings, door, market: Market, start_owner, connect
):
    """Leases last a second, so on a busy machine they change hands at other times, too."""
    settings = leasing(settings, 1000)
    owner = start_owner(settings)
    async with trio.open_nursery() as nursery:
        await owning(owner)
        await nursery.start(market.run)
        await settled_rows(connect, now_ms())
        for pause_s in (0.0, 1.7):
            owner.send_signal(signal.SIGSTOP)
            async with aggregating(settings, *PAIRS, child="aggregator.1") as other:
                await owns_all(other)
                await trio.sleep(pause_s)
                owner.send_signal(signal.SIGCONT)
                await settled_rows(connect, now_ms() + 1500)
            await settled_rows(connect, now_ms() + 1500)  # it goes on by itself when the pairs are free
            assert owner.poll() is None
        found = await settled_rows(connect, now_ms())
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(settings, door, found)
    await assert_candles_are_exact(settings, door, connect)


async def test_an_owner_that_is_sure_still_and_wrong_writes_nothing(
    settings, door, market: Market, start_owner, connect
):
    """Leases as by default, and taken from an owner who was paused for less: it has no reason to doubt."""
    owner = start_owner(settings)
    async with trio.open_nursery() as nursery:
        await owning(owner)
        await nursery.start(market.run)
        await settled_rows(connect, now_ms())
        owner.send_signal(signal.SIGSTOP)
        await door.run(lambda client: client.delete(*(keys.lease("pair", pair) for pair in PAIRS)))
        async with aggregating(settings, *PAIRS, child="aggregator.1"):
            await settled_rows(connect, now_ms())
            newer = epochs(connect)
            owner.send_signal(signal.SIGCONT)
            found = await settled_rows(connect, now_ms() + 3000)
            assert all(epoch >= newer[pair] for pair, epoch in epochs(connect).items())
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(settings, door, found)
    await assert_candles_are_exact(settings, door, connect)


async def test_an_owner_that_was_paused_within_a_commit_doubles_nothing(
    settings, door, market: Market, start_owner, connect
):
    """It holds PostgreSQL's locks meanwhile: its successor can neither claim nor store, and goes on after it."""
    owner = start_owner(settings)
    hasty = settings.model_copy(update={"database": settings.database.model_copy(update={"statement_timeout_ms": 500})})

    async def waiting():
        with connect() as connection:
            return connection.execute(BLOCKED).fetchall()

    async with trio.open_nursery() as nursery:
        await owning(owner)
        await nursery.start(market.run)
        await settled_rows(connect, now_ms())
        with connect() as holder, holder.transaction():
            holder.execute("SELECT FROM checkpoint FOR UPDATE")
            await eventually(waiting, bool)
            owner.send_signal(signal.SIGSTOP)
        await door.run(lambda client: client.delete(*(keys.lease("pair", pair) for pair in PAIRS)))
        async with aggregating(hasty, *PAIRS, child="aggregator.1") as other:
            await owns_all(other)
            await eventually(waiting, bool)
            owner.send_signal(signal.SIGCONT)
            found = await settled_rows(connect, now_ms() + 3000)
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(settings, door, found)
    await assert_candles_are_exact(settings, door, connect)


async def test_after_a_kill_the_next_owner_waits_for_no_lease(settings, door, start_owner):
    patient = leasing(settings, 60_000)
    owner = start_owner(patient)
    await owning(owner)
    owner.kill()
    owner.wait(timeout=20)
    assert await door.run(lambda client: client.get(keys.lease("pair", "btc-usd")))
    async with aggregating(patient, "btc-usd") as aggregator:
        assert aggregator.stats()["pairs"].keys() == {"btc-usd"}


async def test_live_prices_do_not_wait_until_all_is_read_again(settings, door, market: Market, connect):
    """Nothing can be claimed; the prices are of the whole window all the same."""
    patient = settings.database.model_copy(update={"statement_timeout_ms": 60_000})
    settings = settings.model_copy(update={"aggregation": Aggregation(), "database": patient})
    sent = [await market.trade("btc-usd", age_ms=age_ms, price=Decimal(64_000)) for age_ms in range(0, 15_000, 500)]
    await market.trade("usdt-usd", price=Decimal(1))
    async with aggregating(settings) as aggregator:
        with connect() as holder, holder.transaction():
            holder.execute("LOCK TABLE checkpoint")
            await aggregator.send.send(PAIRS)
            found = await eventually(lambda: prices.current(door, ["btc-usd"]), bool)
            assert (aggregator.confirmed, aggregator.stats()["pairs"]) == ([frozenset()], {})
            assert found["btc-usd"].volume == sum(received.trade.volume for received in sent)
        await owns_all(aggregator)
        await market.trade("btc-usd", price=Decimal(64_001))
        later = await eventually(
            lambda: prices.current(door, ["btc-usd"]), lambda now: now["btc-usd"].volume > found["btc-usd"].volume
        )
        assert later["btc-usd"].sequence > found["btc-usd"].sequence


async def test_two_at_once_share_nothing_and_the_second_stands_by(settings, door, market, connect):
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        async with aggregating(settings, *PAIRS, child="a") as standby:
            async with aggregating(settings, *PAIRS, child="b") as second:
                assert standby.stats()["pairs"].keys() == PAIRS
                assert second.stats()["pairs"].keys() == set()
            await standby.own()
            async with aggregating(settings, *PAIRS, child="b") as second:
                await standby.own(*PAIRS)
                assert (standby.stats()["pairs"].keys(), second.stats()["pairs"].keys()) == (set(), PAIRS)
                await trio.sleep(1)
            await owns_all(standby)
            found = await settled_rows(connect, now_ms() + 1000)
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(settings, door, found)
    await assert_candles_are_exact(settings, door, connect)


async def test_what_somebody_else_read_through_the_group_is_not_missed(settings, door, market, connect):
    """A former owner reads once more: before anything is stored without those trades, the pair is taken over again."""
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        async with aggregating(settings, *PAIRS):
            await settled_rows(connect, now_ms())
            thief = TradeReader(door, "aggregator.1@a former owner")
            stolen = 0
            with trio.fail_after(30):
                while stolen < 3:
                    owned, _ = await thief.read(["btc-usd"], {})
                    stolen += len(owned["btc-usd"].trades)
            before = epochs(connect)["btc-usd"]
            found = await settled_rows(connect, now_ms() + 3000)
            assert epochs(connect)["btc-usd"] > before
        nursery.cancel_scope.cancel()
    await assert_rows_are_exact(settings, door, found)
    await assert_candles_are_exact(settings, door, connect)
    assert (await group.backlog(door, ["btc-usd"]))["btc-usd"].lag is not None


async def test_an_emptied_redis_fences_nobody_off_for_ever(settings, door, market, connect):
    async with trio.open_nursery() as nursery:
        await nursery.start(market.run)
        for _ in range(2):
            async with aggregating(settings, *PAIRS):
                await settled_rows(connect, now_ms())
        before = epochs(connect)
        await door.run(lambda client: client.flushall())
        async with aggregating(settings, *PAIRS):
            await settled_rows(connect, now_ms() + 4500)
        nursery.cancel_scope.cancel()
    assert all(epochs(connect)[pair] > before[pair] for pair in PAIRS)
