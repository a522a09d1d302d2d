"""The outbox: in order, stored before acknowledged, bounded while PostgreSQL is away."""

from collections.abc import Mapping, Sequence

import pytest
import trio

from priceverse.aggregator import history
from priceverse.aggregator.history import LOOK_EVERY_S, Outbox
from priceverse.db.commits import Fenced
from priceverse.db.errors import DatabaseUnavailable, Reason
from priceverse.pricing.desk import Settled
from priceverse.pricing.schedule import Position


def settled(number: int, pair: str = "btc-usd") -> Settled:
    return Settled(pair, at(number - 1), at(number), ())


def at(number: int) -> Position:
    return Position(number * 10_000 + 2000, number * 10_000)


class Stores:
    """PostgreSQL and Redis: what they were told, in order; PostgreSQL is away while `away` says so."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.away = 0
        self.looks = 0

    async def store(self, batch: Sequence[Settled]) -> None:
        await trio.lowlevel.checkpoint()
        if self.away:
            self.away -= 1
            raise DatabaseUnavailable(Reason.AWAY, "away")
        if not batch:
            self.looks += 1
            return
        self.told.append(("stored", tuple(batch)))

    async def acknowledge(self, reached: Mapping[str, Position]) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append(("acknowledged", dict(reached)))


@pytest.fixture
def stores() -> Stores:
    return Stores()


@pytest.fixture
def outbox(stores) -> Outbox:
    return Outbox(stores.store, stores.acknowledge)


async def test_what_is_stored_is_acknowledged_afterwards(outbox, stores, nursery, autojump_clock):
    outbox.put([settled(1), settled(1, "xmr-usd"), settled(2)])
    nursery.start_soon(outbox.run)
    assert await outbox.flushed(["btc-usd", "xmr-usd"], 5)
    await trio.testing.wait_all_tasks_blocked()
    assert stores.told == [
        ("stored", (settled(1), settled(1, "xmr-usd"), settled(2))),
        ("acknowledged", {"btc-usd": at(2), "xmr-usd": at(1)}),
    ]


async def test_why_nothing_is_stored_is_told_until_something_is(stores, nursery, autojump_clock):
    full, room = DatabaseUnavailable(Reason.DISK_FULL, "No space left"), trio.Event()

    async def store(batch: Sequence[Settled]) -> None:
        await trio.sleep(0.1)
        if not room.is_set():
            raise full

    outbox = Outbox(store, stores.acknowledge)
    outbox.put([settled(1)])
    nursery.start_soon(outbox.run)
    await trio.sleep(2)
    assert outbox.fault is full
    room.set()
    assert await outbox.flushed(["btc-usd"], 60)
    assert outbox.fault is None


async def test_a_fault_is_known_though_nothing_waits(outbox, stores, nursery, autojump_clock):
    nursery.start_soon(outbox.run)
    await trio.sleep(1.5 * LOOK_EVERY_S)
    assert (stores.looks, outbox.fault) == (1, None)
    stores.away = 1
    await trio.sleep(LOOK_EVERY_S)
    assert outbox.fault.reason is Reason.AWAY
    await trio.sleep(LOOK_EVERY_S)
    assert outbox.fault is None


async def test_while_the_database_is_away_everything_waits_in_order(outbox, stores, nursery, autojump_clock):
    stores.away = 5
    outbox.put([settled(1)])
    nursery.start_soon(outbox.run)
    await trio.testing.wait_all_tasks_blocked()
    outbox.put([settled(2)])
    assert outbox.waiting() == {"btc-usd": 2}
    assert stores.told == []
    assert await outbox.flushed(["btc-usd"], 60)
    assert [told for what, told in stores.told if what == "stored"] == [(settled(1),), (settled(2),)]


async def test_waiting_for_a_flush_ends(outbox, stores, nursery, autojump_clock):
    stores.away = 10**9
    outbox.put([settled(1)])
    nursery.start_soon(outbox.run)
    assert not await outbox.flushed(["btc-usd"], 5)
    assert await outbox.flushed(["xmr-usd"], 5)


async def test_beyond_the_bound_the_newest_are_given_up_and_counted(
    outbox, stores, nursery, monkeypatch, autojump_clock
):
    monkeypatch.setattr(history, "MAX_WAITING", 3)
    stores.away = 3
    outbox.put([settled(1), settled(2)])
    nursery.start_soon(outbox.run)
    await trio.testing.wait_all_tasks_blocked()
    outbox.put([settled(number) for number in (3, 4, 5)])
    assert (outbox.dropped, outbox.waiting()["btc-usd"]) == (2, 3)
    assert await outbox.flushed(["btc-usd"], 60)
    stored = [done for what, told in stores.told if what == "stored" for done in told]
    assert stored == [settled(1), settled(2), settled(3)]


async def test_what_is_discarded_is_not_stored_and_the_rest_goes_on(outbox, stores, nursery, autojump_clock):
    nursery.start_soon(outbox.run)
    await trio.testing.wait_all_tasks_blocked()
    outbox.discard(["btc-usd"])  # nothing waits, and nobody may miss what comes
    stores.away = 1
    outbox.put([settled(1), settled(1, "xmr-usd")])
    await trio.testing.wait_all_tasks_blocked()
    outbox.discard(["btc-usd"])
    outbox.put([settled(2, "xmr-usd")])
    assert await outbox.flushed(["btc-usd", "xmr-usd"], 60)
    await trio.testing.wait_all_tasks_blocked()
    assert outbox.waiting() == {}
    assert stores.told[-1] == ("acknowledged", {"xmr-usd": at(2)})


async def test_a_pair_with_a_newer_owner_is_given_up_and_the_others_are_stored(stores, nursery, autojump_clock):
    async def store(batch: Sequence[Settled]) -> None:
        if any(done.pair == "btc-usd" for done in batch):
            raise Fenced("btc-usd", "over")
        await stores.store(batch)

    given_up: list[str] = []
    outbox = Outbox(store, stores.acknowledge, given_up.append)
    nursery.start_soon(outbox.run)
    outbox.put([settled(1), settled(1, "xmr-usd"), settled(2)])
    assert await outbox.flushed(["xmr-usd"], 5)
    await trio.testing.wait_all_tasks_blocked()
    assert given_up == ["btc-usd"]
    assert stores.told == [("stored", (settled(1, "xmr-usd"),)), ("acknowledged", {"xmr-usd": at(1)})]
