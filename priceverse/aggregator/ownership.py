"""Taking pairs over and giving them up.

A pair is taken over from PostgreSQL's word, not from the group's: its stream is read again from where its stored
history needs it (a window and the possible clock skew before the position), rows that are missing are computed on the
way, and then the group's cursor is put after the last entry read. The rule: nothing is lost or counted twice, whatever
the last owner did.
"""

from collections.abc import Collection

import trio

from priceverse.aggregator import history, plan
from priceverse.aggregator.history import Outbox
from priceverse.aggregator.patience import patiently
from priceverse.aggregator.reading import Reading
from priceverse.aggregator.stream import Followed
from priceverse.bus import group, prices
from priceverse.bus.client import RedisDoor
from priceverse.bus.entries import StreamId
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.db.errors import DatabaseUnavailable
from priceverse.db.pool import Database
from priceverse.log import get_logger
from priceverse.pricing.desk import Desk, Seat
from priceverse.pricing.pricer import PairPricer
from priceverse.pricing.reference import Reference

FLUSH_S = 5.0
"""How long giving a pair up waits for its history; its next owner computes what was not stored."""


class Ownership:
    """The pairs of this process: on the desk, in the reading, and how they come and go."""

    def __init__(
        self, settings: Settings, *, desk: Desk, reading: Reading, outbox: Outbox, db: Database, door: RedisDoor
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._reading = reading
        self._outbox = outbox
        self._db = db
        self._door = door
        self._grid = plan.grid(settings)
        self._one = trio.Lock()

    async def own(self, pairs: frozenset[str]) -> None:
        """Own exactly `pairs` when this returns: drop the others, take over the new ones."""
        async with self._one:
            dropped = self._desk.seats.keys() - pairs
            if dropped:
                await self._drop(dropped)
            added = sorted(pairs - self._desk.seats.keys())
            if added:
                await self._take_over(added)

    async def _drop(self, pairs: Collection[str]) -> None:
        async with self._reading.between:
            for pair in pairs:
                del self._reading.owned[pair], self._desk.seats[pair]
        flushed = await self._outbox.flushed(pairs, FLUSH_S)
        get_logger().info("pairs_dropped", pairs=sorted(pairs), flushed=flushed)

    async def _take_over(self, pairs: Collection[str]) -> None:
        positions = await self._positions(pairs)
        await self._follow_reference(positions)
        async with trio.open_nursery() as nursery:
            for pair, position_ms in positions.items():
                nursery.start_soon(self._seat, pair, position_ms)

    async def _positions(self, pairs: Collection[str]) -> dict[str, int]:
        """Return the stream time up to which each pair's history is done: within what the stream still holds."""
        begin_ms = now_ms() - self._grid.window_ms
        try:
            stored = await history.positions(self._db, pairs)
        except DatabaseUnavailable as error:
            get_logger().warning("checkpoints_unreadable", error=str(error), pairs=sorted(pairs))
            stored = {pair: await self._unacknowledged(pair, begin_ms) for pair in pairs}
        kept_ms = now_ms() - self._settings.aggregation.stream_keep_s * 1000
        return {pair: min(max(stored.get(pair, begin_ms), kept_ms), now_ms()) for pair in pairs}

    async def _unacknowledged(self, pair: str, begin_ms: int) -> int:
        """Redis's own word, where PostgreSQL is away: what nobody acknowledged was not stored."""
        oldest = await patiently(lambda: group.oldest_pending(self._door, pair), task="pending")
        return min(begin_ms, oldest.ms - self._grid.window_ms) if oldest else begin_ms

    async def _follow_reference(self, positions: dict[str, int]) -> None:
        """Follow the reference pair from early enough for the new pairs and for what the others have open."""
        market = plan.reference(self._settings)
        needed = any(plan.market(self._settings, pair).needs_conversion for pair in positions)
        if market is None or not needed:
            return
        open_ms = [self._grid.closes_ms(seat.pricer.oldest_open_ms) - 1 for seat in self._desk.seats.values()]
        position_ms = min(*positions.values(), *open_ms, now_ms())
        reference = Reference(market, self._grid, position_ms)
        followed = self._followed(reference.pricer, Reference.earlier(self._grid, position_ms))
        await followed.catch_up(self._door)
        async with self._reading.between:
            self._desk.reference, self._reading.reference = reference, followed

    async def _seat(self, pair: str, position_ms: int) -> None:
        derived = self._settings.derived_pairs(pair)
        seat = Seat(PairPricer(plan.market(self._settings, pair), self._grid, position_ms), derived)
        followed = self._followed(seat.pricer, position_ms)
        before = await patiently(lambda: prices.current(self._door, (pair, *derived)), task="restore")
        seat.restored = tuple(before.values())
        replayed = await followed.catch_up(self._door)
        async with self._reading.between:
            await patiently(lambda: group.seek(self._door, pair, followed.cursor), task="seek")
            self._desk.seats[pair], self._reading.owned[pair] = seat, followed
        get_logger().info("pair_taken_over", pair=pair, position_ms=position_ms, replayed=replayed)

    def _followed(self, pricer: PairPricer, position_ms: int) -> Followed:
        kept_ms = now_ms() - self._settings.aggregation.stream_keep_s * 1000
        needed_ms = self._grid.needed_from_ms(position_ms)
        return Followed(pricer, StreamId.before(max(needed_ms, kept_ms)))
