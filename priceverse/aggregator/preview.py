"""Live prices of pairs that are being taken over: what candles and history need is read again for seconds meanwhile.

    the last window of the streams ─▶ Preview (a desk of its own) ─▶ live ─▶ price:<pair>

The rule: nothing of a preview is stored or acknowledged; it reads without the group, and ends when the pair has a seat.
"""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from priceverse.aggregator import plan
from priceverse.aggregator.stream import Followed
from priceverse.bus.client import RedisDoor
from priceverse.bus.entries import StreamId
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.pricing.convert import Rates
from priceverse.pricing.desk import Desk, Seat
from priceverse.pricing.pricer import PairPricer
from priceverse.pricing.reference import Reference
from priceverse.pricing.schedule import Position

READ_EVERY_S = 0.1


class Preview:
    """The pairs that are being taken over, on a desk of their own; `wake` hears of what was read."""

    def __init__(self, settings: Settings, desk: Desk, door: RedisDoor, wake: Callable[[], None]) -> None:
        self._desk = desk
        self._settings = settings
        self._door = door
        self._wake = wake
        self._grid = replace(plan.grid(settings), candle_lateness_ms=0)  # an hour less to read
        self._wanted: set[str] = set()

    @asynccontextmanager
    async def of(self, pairs: Collection[str], rates: Rates) -> AsyncIterator[None]:
        """Price `pairs` as long as the block lasts, those of them that are not given up before."""
        self._desk.rates = rates
        self._wanted = set(pairs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run, pairs)
            try:
                yield
            finally:
                self.give_up(pairs)
                nursery.cancel_scope.cancel()

    def give_up(self, pairs: Collection[str]) -> None:
        """Price these pairs no more, nor those of them that are being read yet: a read outlives its cancellation."""
        self._wanted.difference_update(pairs)
        for pair in pairs:
            self._desk.seats.pop(pair, None)

    async def _run(self, pairs: Collection[str]) -> None:
        followed = self._reference(pairs)
        for each in followed:
            await each.catch_up(self._door)
        for pair in pairs:
            position = self._grid.position_at(now_ms() - self._grid.interval_ms)  # the window of now is a whole one
            own = self._followed(PairPricer(plan.market(self._settings, pair), self._grid, position), position)
            await own.catch_up(self._door)
            if pair in self._wanted:
                self._desk.seats[pair] = Seat(own.pricer, self._settings.derived_pairs(pair))
                self._wake()
                followed.append(own)
        while True:
            await trio.sleep(READ_EVERY_S)
            for each in followed:
                await each.catch_up(self._door)
                each.pricer.closed.clear()
            self._wake()

    def _reference(self, pairs: Collection[str]) -> list[Followed]:
        """Put the reference pair beside the desk where one of the pairs needs it; return what is to be read of it."""
        market = plan.reference(self._settings)
        if market is None or not any(plan.market(self._settings, pair).needs_conversion for pair in pairs):
            return []
        reference = self._desk.reference = Reference(market, self._grid, now_ms())
        return [self._followed(reference.pricer, reference.begun)]

    def _followed(self, pricer: PairPricer, position: Position) -> Followed:
        return Followed(pricer, StreamId.before(self._grid.needed_from_ms(position)))
