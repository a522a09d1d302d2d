"""Session after session in virtual time: who may publish, when the next attempt comes, when it is enough."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from priceverse.collector.feed import OVERLAP_S, Feed
from priceverse.collector.reconnect import Ended, Why
from priceverse.net.errors import NetError
from tests.fakes.exchange import WHERE, WordLink
from tests.unit.collector.conftest import Desk, settle

HEALTHY = 33
"""Seconds of good data: a sum of 31 seconds after a pause of any length may be a bit less than 30 beyond the first."""
REFUSED = NetError(WHERE, "cannot connect: Connection refused")


@pytest.fixture
async def feed(desk: Desk) -> Feed:
    return Feed(desk.venue, desk.ports, base_delay_s=1.0, max_attempts=10)


async def healthy(desk: Desk, nursery: trio.Nursery, feed: Feed) -> WordLink:
    """Start the feed and let its first connection deliver until it counts as a good one."""
    nursery.start_soon(feed.run)
    link = await desk.link()
    await serve_for(link, HEALTHY, first_id=0)
    return link


async def serve_for(link: WordLink, seconds: int, first_id: int) -> None:
    for n in range(seconds):
        link.push(f"trade BTC {first_id + n} 0", f"trade XMR {first_id + n} 0")
        await trio.sleep(1)


async def test_it_gives_up_after_so_many_failures_in_a_row(desk: Desk, feed: Feed, autojump_clock: MockClock) -> None:
    desk.exchange.refuse(REFUSED)
    assert await feed.run() == Ended(Why.UNREACHABLE, WHERE, REFUSED.what)
    dials = [at_s for _, at_s in desk.exchange.dialled]
    assert len(dials) == 10
    gaps = [later - earlier for earlier, later in pairwise(dials)]
    assert all(0 <= gap <= min(30, 2**n) for n, gap in enumerate(gaps))
    assert desk.seen["error"] == f"unreachable: {WHERE}: {REFUSED.what}"


async def test_accept_then_close_is_a_failure(
    desk: Desk, feed: Feed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def slam() -> None:
        while True:
            link = await desk.link()
            link.push("ack BTC", "ack XMR", "trade BTC 1 0")
            link.hang_up()

    nursery.start_soon(slam)
    assert (await feed.run()).why is Why.LOST
    assert len(desk.exchange.dialled) == 10


async def test_good_data_resets_the_count(
    desk: Desk, feed: Feed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    desk.exchange.refuse(REFUSED, times=9)
    nursery.start_soon(feed.run)
    link = await desk.link()
    await serve_for(link, HEALTHY, 0)
    desk.exchange.refuse(REFUSED, times=9)
    link.hang_up()
    await desk.link()
    assert len(desk.exchange.dialled) == 9 + 1 + 9 + 1


async def test_a_healthy_connection_is_replaced_within_the_base_delay(
    desk: Desk, feed: Feed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = await healthy(desk, nursery, feed)
    lost_s = trio.current_time()
    link.hang_up()
    await desk.link()
    assert trio.current_time() - lost_s <= 1.0
    await settle()
    assert desk.seen["reconnects"] == 1


async def test_retry_after_is_obeyed(desk: Desk, feed: Feed, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    desk.exchange.refuse(NetError(WHERE, "handshake refused with HTTP 429", status=429, retry_after_s=100.0))
    nursery.start_soon(feed.run)
    await settle()
    assert desk.seen["error_code"] == "EXCHANGE_3002"
    await trio.sleep(99)
    assert len(desk.exchange.dialled) == 1
    await trio.sleep(2)
    assert len(desk.exchange.dialled) == 2


async def test_a_successor_is_opened_first_and_both_are_counted_once(
    desk: Desk, feed: Feed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    old = await healthy(desk, nursery, feed)
    told_s = trio.current_time()
    old.push("shutdown")
    new = await desk.link()
    assert trio.current_time() == told_s
    for n in range(100, 104):
        old.push(f"trade BTC {n} 0")
        new.push(f"trade BTC {n} 0")
    await settle()
    assert desk.ids[-4:] == ["100", "101", "102", "103"]
    assert not old.closed.is_set()
    await old.closed.wait()
    assert trio.current_time() - told_s == pytest.approx(OVERLAP_S)
    new.push("trade BTC 104 0")
    await settle()
    assert desk.ids[-1] == "104"
    assert desk.seen["duplicates"] == 4
    assert desk.seen["connected"]


async def test_the_old_connection_reads_on_while_no_successor_can_be_had(
    desk: Desk, feed: Feed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    old = await healthy(desk, nursery, feed)
    desk.exchange.refuse(REFUSED)
    old.push("shutdown")
    await serve_for(old, 20, 1000)
    assert desk.ids[-1] == "1019"
    desk.exchange.refuse(REFUSED, times=0)
    new = await desk.link()
    new.push("beat")
    await old.closed.wait()


async def test_a_venue_that_always_announces_its_end_is_not_hammered(
    desk: Desk, feed: Feed, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def nervous() -> None:
        while True:
            (await desk.link()).push("ack BTC", "ack XMR", "shutdown")

    nursery.start_soon(nervous)
    assert (await feed.run()).why is Why.SHUTDOWN
    assert len(desk.exchange.dialled) == 10


async def test_nothing_is_left_behind_when_it_is_stopped(desk: Desk, feed: Feed, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        old = await healthy(desk, nursery, feed)
        old.push("shutdown")
        new = await desk.link()
        await settle()
        nursery.cancel_scope.cancel()
    assert old.closed.is_set()
    assert new.closed.is_set()
    assert not desk.seen["connected"]
    dialled = len(desk.exchange.dialled)
    await trio.sleep(1000)
    assert len(desk.exchange.dialled) == dialled
