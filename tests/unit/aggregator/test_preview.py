"""Live prices of pairs that are being taken over end with that, whatever is still being read."""

from collections.abc import Callable

import trio
from trio.testing import wait_all_tasks_blocked

from priceverse.aggregator.preview import Preview
from priceverse.bus.trades import Entries
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.pricing.convert import Rates
from priceverse.pricing.desk import Desk
from priceverse.pricing.schedule import Pace

SETTINGS = Settings(pairs={pair: {"symbols": {"kraken": pair}} for pair in ("btc-usd", "ltc-usd")})
RATES = Rates(max_age_days=4)


class SlowDoor:
    """Redis with empty streams, which answers when it may. A read waits for its thread, also when cancelled."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.may_answer = trio.Event()

    async def run(self, work: Callable[[object], Entries]) -> Entries:
        del work
        self.asked.set()
        with trio.CancelScope(shield=True):
            await self.may_answer.wait()
        return Entries((), None, now_ms())

    async def answer_when_all_wait(self) -> None:
        await wait_all_tasks_blocked()
        self.may_answer.set()


def a_preview() -> tuple[Preview, Desk, SlowDoor]:
    desk, door = Desk(Pace(), RATES), SlowDoor()
    return Preview(SETTINGS, desk, door, lambda: None), desk, door


async def test_a_read_that_outlives_the_preview_leaves_no_seat(nursery: trio.Nursery) -> None:
    preview, desk, door = a_preview()
    async with preview.of(["btc-usd"], RATES):
        await door.asked.wait()
        nursery.start_soon(door.answer_when_all_wait)
    assert not desk.seats


async def test_a_pair_that_was_given_up_while_it_was_read_gets_no_seat(nursery: trio.Nursery) -> None:
    preview, desk, door = a_preview()
    async with preview.of(["btc-usd", "ltc-usd"], RATES):
        await door.asked.wait()
        preview.give_up({"btc-usd"})
        await door.answer_when_all_wait()
        await wait_all_tasks_blocked()
        assert list(desk.seats) == ["ltc-usd"]
