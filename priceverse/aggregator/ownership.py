"""Taking pairs over and giving them up.

    assigned ─▶ lease ─▶ claim (PostgreSQL: position, former owners fenced off) ─▶ read again ─▶ seat ─▶ … ─▶ release

A pair is taken over from PostgreSQL's word, not from the group's: its stream is read again from where what is not
stored yet needs it, back to the oldest trade that could be repeated, and then the group's cursor is put after the last
entry read; live prices go on meanwhile (`preview`). An assigned pair whose lease somebody else holds is waited for: a
second host is a hot standby. The rule: nothing is lost or counted twice, whatever the last owner did or still does.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import trio

from priceverse.aggregator import plan
from priceverse.aggregator.history import Outbox
from priceverse.aggregator.patience import patiently
from priceverse.aggregator.preview import Preview
from priceverse.aggregator.reading import Reading
from priceverse.aggregator.stream import Followed
from priceverse.bus import consumers, group, prices
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.bus.entries import StreamId
from priceverse.bus.leases import Leases
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.db import commits
from priceverse.db.errors import DatabaseUnavailable
from priceverse.db.pool import Database
from priceverse.log import get_logger
from priceverse.pricing.desk import Desk, Seat
from priceverse.pricing.pricer import PairPricer
from priceverse.pricing.reference import Reference
from priceverse.pricing.schedule import Position

FLUSH_S = 5.0
"""How long giving a pair up waits for its history; its next owner computes what was not stored."""

RENEWALS = 5
"""A lease is renewed so often before it runs out."""

ASK_EVERY_S = 1.0
"""How often a lease that somebody else holds is asked for."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A leased pair: our fencing number, and how far its history is."""

    pair: str
    epoch: int
    position: Position


class Ownership:
    """The pairs of this process: on the desk, in the reading, and how they come and go."""

    def __init__(
        self,
        settings: Settings,
        *,
        desk: Desk,
        preview: Preview,
        reading: Reading,
        outbox: Outbox,
        db: Database,
        door: RedisDoor,
        leases: Leases,
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._preview = preview
        self._reading = reading
        self._outbox = outbox
        self._db = db
        self._door = door
        self._leases = leases
        self._grid = plan.grid(settings)
        self._one = trio.Lock()
        self._wanted: frozenset[str] = frozenset()
        self._missed = trio.Event()

    async def own(self, pairs: frozenset[str]) -> None:
        """Drop all but `pairs` and take these over, save what somebody else holds: that is taken when it is free."""
        async with self._one:
            self._wanted = pairs
            dropped = self._desk.seats.keys() - pairs
            if dropped:
                await self._drop(dropped)
            await self._take_over(pairs - self._desk.seats.keys())

    async def run(self) -> None:
        """Keep what is owned and take what becomes free, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew)
            nursery.start_soon(self._ask)

    def miss(self, pair: str) -> None:
        """Put a pair out of which we know not everything, or whose next owner has begun; it is taken over again."""
        self._desk.seats.pop(pair, None)
        self._outbox.discard({pair})
        self._missed.set()

    async def _renew(self) -> None:
        while True:
            with suppress(RedisUnavailable):  # nobody else can take them meanwhile
                lost = await self._leases.renew()
                if lost:
                    await self._put_out(lost)
                    get_logger().warning("pairs_lost", pairs=sorted(lost))
            await trio.sleep(self._settings.aggregation.lease_ms / 1000 / RENEWALS)

    async def _ask(self) -> None:
        while True:
            with trio.move_on_after(ASK_EVERY_S):
                await self._missed.wait()
            self._missed = trio.Event()
            async with self._one:
                await self._take_over(self._wanted - self._desk.seats.keys())

    async def _drop(self, pairs: Collection[str]) -> None:
        await self._unseat(pairs)
        flushed = await self._outbox.flushed(pairs, FLUSH_S)
        self._outbox.discard(pairs)
        with suppress(RedisUnavailable):
            await self._leases.release(pairs)
        get_logger().info("pairs_dropped", pairs=sorted(pairs), flushed=flushed)

    async def _put_out(self, pairs: Collection[str]) -> None:
        """Drop pairs that somebody else has: nothing more of them may be stored."""
        self._outbox.discard(pairs)
        await self._unseat(pairs)
        self._outbox.discard(pairs)

    async def _unseat(self, pairs: Collection[str]) -> None:
        async with self._reading.between:
            for pair in pairs:
                self._reading.owned.pop(pair, None)
                self._desk.seats.pop(pair, None)

    async def _take_over(self, pairs: Collection[str]) -> None:
        numbers = {pair: await patiently(lambda: self._leases.take(pair), task="lease") for pair in sorted(pairs)}  # noqa: B023 - awaited right here
        leased = {pair: number for pair, number in numbers.items() if number is not None}
        if not leased:
            return
        await self._unseat(leased)
        async with self._preview.of(leased, self._desk.rates):
            claims = [await self._claim(pair, number) for pair, number in leased.items()]
            await self._follow_reference(claims)
            async with trio.open_nursery() as nursery:
                for claim in claims:
                    nursery.start_soon(self._seat, claim)

    async def _claim(self, pair: str, number: int) -> _Claim:
        """Fence former owners off and learn up to where the pair's history is done."""
        begin_ms = now_ms() - self._grid.window_ms
        try:
            begin = self._grid.position_at(begin_ms)
            claimed = await commits.claim(self._db, pair, number, begin)
            if claimed.beaten_by is not None:  # Redis was emptied, and counts from 1 again
                above = claimed.beaten_by
                raised = await patiently(lambda: self._leases.number_above(pair, above), task="fence")
                number = raised or number
                claimed = await commits.claim(self._db, pair, number, begin)
        except DatabaseUnavailable as error:
            get_logger().warning("checkpoint_unreadable", error=str(error), pair=pair)
            return _Claim(pair, number, self._grid.position_at(await self._unacknowledged(pair, begin_ms)))
        return _Claim(pair, number, claimed.position)

    async def _unacknowledged(self, pair: str, begin_ms: int) -> int:
        """Redis's own word, where PostgreSQL is away: what nobody acknowledged was not stored."""
        oldest = await patiently(lambda: group.oldest_pending(self._door, pair), task="pending")
        return min(begin_ms, oldest.ms - self._grid.window_ms) if oldest else begin_ms

    async def _follow_reference(self, claims: Collection[_Claim]) -> None:
        """Follow the reference pair from early enough for the new pairs and for what the others have open."""
        market = plan.reference(self._settings)
        if market is None or not any(plan.market(self._settings, claim.pair).needs_conversion for claim in claims):
            return
        open_ms = [seat.pricer.oldest_open_ms for seat in self._desk.seats.values()]
        first_ms = min([*(self._grid.belongs_to(claim.position.instant_ms) for claim in claims), *open_ms])
        if self._desk.reference and self._desk.reference.serves(first_ms):
            return
        reference = Reference(market, self._grid, first_ms)
        followed = self._followed(reference.pricer, reference.begun)
        await followed.catch_up(self._door)
        async with self._reading.between:
            self._desk.reference, self._reading.reference = reference, followed

    async def _seat(self, claim: _Claim) -> None:
        pair, derived = claim.pair, self._settings.derived_pairs(claim.pair)
        pricer = PairPricer(plan.market(self._settings, pair), self._grid, claim.position)
        seat, followed = Seat(pricer, derived, claim.epoch), self._followed(pricer, claim.position)
        before = await patiently(lambda: prices.current(self._door, (pair, *derived)), task="restore")
        seat.restored = tuple(before.values())
        replayed = await followed.catch_up(self._door)
        async with self._reading.between:
            if pair not in self._leases.held:
                return
            await patiently(lambda: group.seek(self._door, pair, followed.cursor), task="seek")
            await patiently(lambda: consumers.tidy(self._door, pair), task="tidy")
            followed.since = followed.cursor
            self._desk.seats[pair], self._reading.owned[pair] = seat, followed
            self._preview.give_up({pair})
        get_logger().info(
            "pair_taken_over", pair=pair, epoch=claim.epoch, **claim.position._asdict(), replayed=replayed
        )

    def _followed(self, pricer: PairPricer, position: Position) -> Followed:
        return Followed(pricer, StreamId.before(self._grid.needed_from_ms(position)))
