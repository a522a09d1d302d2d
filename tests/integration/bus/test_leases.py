"""Leases and fencing numbers on a real Redis: one holder at a time, and numbers that only grow."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import trio

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor
from priceverse.bus.leases import Leases
from priceverse.config.settings import Redis

LONG_MS = 60_000
OTHER = """
import sys, trio
from priceverse.bus.client import RedisDoor
from priceverse.bus.leases import Leases
from priceverse.config.settings import Redis

async def main():
    async with RedisDoor(Redis.model_validate_json(sys.argv[1])) as door:
        print(await Leases(door, "pair", lease_ms=60000).take("btc-usd"), flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.fixture
async def door(redis_settings: Redis) -> AsyncIterator[RedisDoor]:
    async with RedisDoor(redis_settings) as door:
        yield door


@pytest.fixture
def one(door: RedisDoor) -> Leases:
    return Leases(door, "pair", lease_ms=LONG_MS)


@pytest.fixture
def other(door: RedisDoor) -> Leases:
    return Leases(door, "pair", lease_ms=LONG_MS)


async def expire(door: RedisDoor, key: str) -> None:
    await door.run(lambda client: client.delete(keys.lease("pair", key)))


async def test_what_one_holds_the_other_cannot_take(one: Leases, other: Leases):
    assert await one.take("btc-usd") == 1
    assert await other.take("btc-usd") is None
    assert await other.take("eth-usd") == 2
    assert (one.is_sure("btc-usd"), other.is_sure("btc-usd"), other.held) == (True, False, {"eth-usd"})


async def test_what_is_released_is_free_at_once_and_has_a_higher_number(one: Leases, other: Leases):
    await one.take("btc-usd")
    await one.release(["btc-usd", "eth-usd"])
    assert not one.is_sure("btc-usd")
    assert await other.take("btc-usd") == 2


async def test_what_is_released_while_all_is_renewed_stays_free(one: Leases, other: Leases):
    pairs = ["btc-usd", "eth-usd", "xmr-usd"]
    for _ in range(20):
        for pair in pairs:
            await one.take(pair)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.renew)
            nursery.start_soon(one.release, pairs)
        assert one.held == set()
        assert all([await other.take(pair) for pair in pairs])
        await other.release(pairs)


async def test_leaving_releases_everything_even_when_cancelled(door: RedisDoor, other: Leases):
    with trio.CancelScope() as scope:
        async with Leases(door, "pair", lease_ms=LONG_MS) as one:
            await one.take("btc-usd")
            scope.cancel()
            await trio.sleep_forever()
    assert await other.take("btc-usd") == 2


async def test_a_lease_that_another_took_is_lost_and_not_released(door: RedisDoor, one: Leases, other: Leases):
    await one.take("btc-usd")
    await expire(door, "btc-usd")
    await other.take("btc-usd")
    assert await one.renew() == {"btc-usd"}
    assert one.held == set()
    await one.release(["btc-usd"])
    assert await other.renew() == set()


async def test_what_ran_out_and_nobody_took_is_ours_again(door: RedisDoor, one: Leases, other: Leases):
    await one.take("btc-usd")
    await door.run(lambda client: client.flushall())
    assert await one.renew() == set()
    assert await other.take("btc-usd") is None


async def test_without_renewal_one_is_not_sure_for_long(door: RedisDoor):
    brief = Leases(door, "pair", lease_ms=1000)
    await brief.take("btc-usd")
    with trio.fail_after(20):
        while brief.is_sure("btc-usd"):  # noqa: ASYNC110 - only the clock tells
            await trio.sleep(0.05)
    assert brief.held == {"btc-usd"}
    assert await brief.number_above("btc-usd", 0) is None


async def test_a_number_is_above_what_is_known_though_redis_was_emptied(door: RedisDoor, one: Leases):
    await one.take("btc-usd")
    await door.run(lambda client: client.flushall())
    assert await one.number_above("btc-usd", 41) == 42
    assert await one.number_above("btc-usd", 7) == 43


@pytest.fixture
def another_process(redis_settings: Redis):
    """A process that holds btc-usd; it is gone in the end."""
    settings = redis_settings.model_dump_json(context={"secrets": True})
    process = subprocess.Popen([sys.executable, "-c", OTHER, settings], stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.wait(timeout=20)
    process.stdout.close()


async def test_a_killed_process_of_this_machine_keeps_nothing(one: Leases, another_process):
    assert await trio.to_thread.run_sync(another_process.stdout.readline) == b"1\n"
    assert await one.take("btc-usd") is None
    another_process.send_signal(signal.SIGSTOP)
    assert await one.take("btc-usd") is None
    another_process.kill()
    another_process.wait(timeout=20)
    assert await one.take("btc-usd") == 2
