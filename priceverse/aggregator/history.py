"""Settled instants on their way to PostgreSQL: kept in order, stored with the checkpoint they reach, then acknowledged.

    Desk.settle ─▶ Outbox ─▶ one transaction (rows + candles + checkpoints) ─▶ XACK

The rule: acknowledge after commit, never before. While PostgreSQL is away the outbox grows up to a bound; what a killed
process had in it is computed again from the stream, to the same digits. A commit whose fate is unknown is sent again:
the checkpoint tells what of it is new.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import islice

import trio

from priceverse.aggregator.patience import patiently
from priceverse.bus import group
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.db import commits
from priceverse.db.commits import Portion, Refused
from priceverse.db.pool import Database, DatabaseUnavailable
from priceverse.db.prices import HistoryRow
from priceverse.log import get_logger
from priceverse.metrics import catalogue as metric
from priceverse.metrics import tally
from priceverse.pricing.desk import Settled
from priceverse.pricing.schedule import Grid, Position

MAX_WAITING = 20_000
"""Instants kept while PostgreSQL is away: more than ten hours of four pairs every ten seconds."""

BATCH = 500

LOOK_EVERY_S = 2.0
"""So often storing is tried while there is nothing to store: a fault is known before the next instant meets it."""

Store = Callable[[Sequence[Settled]], Awaitable[None]]
Acknowledge = Callable[[Mapping[str, Position]], Awaitable[None]]
Tell = Callable[[str], None]


async def commit(db: Database, settled: Sequence[Settled]) -> None:
    """Store rows, candles and the positions they reach, all or nothing. Raises DatabaseUnavailable, Refused.

    Of nothing: find out whether there is room for something.
    """
    if not settled:
        await commits.look(db)
        return
    portions = [_portion(done) for done in settled]
    await commits.commit(db, portions)
    tally.count(metric.ROWS, sum(len(portion.rows) for portion in portions))
    tally.count(metric.CANDLES, sum(len(portion.candles) for portion in portions))


def _portion(done: Settled) -> Portion:
    rows = tuple(
        HistoryRow(row.pair, row.price, row.timestamp_ms, row.method, row.sources, row.volume, row.reasons)
        for row in done.rows
    )
    return Portion(done.pair, done.since, done.until, done.epoch, rows, done.candles)


def reach(settled: Sequence[Settled]) -> dict[str, Position]:
    """Return the position that each pair has after `settled`, which are in order."""
    return {done.pair: done.until for done in settled}


async def acknowledge(door: RedisDoor, grid: Grid, reached: Mapping[str, Position]) -> None:
    """Acknowledge what is stored; while Redis is away not even that: the next commit acknowledges these entries too.

    What the next owner would need for rows and candles is kept: entries that are acknowledged may be trimmed.
    """
    with suppress(RedisUnavailable):
        for pair, position in reached.items():
            await group.acknowledge(door, pair, grid.spent_before_ms(position))


class Outbox:
    """What is settled and not stored yet. `acknowledge` hears what is stored.

    `store` hears of nothing now and then, too. It raises DatabaseUnavailable, and Refused when what waits of a pair may
    not be stored: that is given up, and `refused` hears its name.
    """

    def __init__(self, store: Store, acknowledge: Acknowledge, refused: Tell = lambda _: None) -> None:
        self._store = store
        self._acknowledge = acknowledge
        self._refused = refused
        self._waiting: deque[Settled] = deque()
        self._filled = trio.Event()
        self._stored = trio.Event()
        self.dropped = 0
        self.fault: DatabaseUnavailable | None = None  # why the last attempt failed; None since one succeeded
        self.last_row_ms: dict[str, int] = {}

    def put(self, settled: Sequence[Settled]) -> None:
        """Add instants; what is beyond the bound is given up, and counted.

        Those are the newest: when the others are stored, what comes then is refused, and the pair is taken over again
        from there. So they are computed again as long as the stream, where they are not acknowledged, has their trades.
        """
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extend(settled[:room])
        excess = len(settled) - room
        if excess > 0:
            self.dropped += excess
            get_logger().error("history_dropped", instants=excess, total=self.dropped)
        if self._waiting:
            self._filled.set()

    def waiting(self) -> Counter[str]:
        """Return how many instants of each pair wait."""
        return Counter(done.pair for done in self._waiting)

    async def run(self) -> None:
        """Store for ever."""
        while True:
            with trio.move_on_after(LOOK_EVERY_S):
                await self._filled.wait()
            batch = list(islice(self._waiting, BATCH))
            if batch:
                await self._send(batch)
            else:
                with suppress(DatabaseUnavailable):  # `fault` tells
                    await self._attempt(())

    async def _send(self, batch: Sequence[Settled]) -> None:
        try:
            await patiently(lambda: self._attempt(batch), task="history")
        except Refused as refused:
            get_logger().warning("history_refused", pair=refused.pair, reason=str(refused))
            self.discard({refused.pair})
            self._refused(refused.pair)
            return
        self._remove(batch)
        await self._acknowledge(reach(batch))

    async def _attempt(self, batch: Sequence[Settled]) -> None:
        try:
            await self._store(batch)
        except DatabaseUnavailable as fault:
            self.fault = fault
            raise
        self.fault = None

    def discard(self, pairs: Collection[str]) -> None:
        """Forget what waits of pairs that are not ours any more: their owner computes it."""
        self._waiting = deque(done for done in self._waiting if done.pair not in pairs)
        self._changed()

    async def flushed(self, pairs: Collection[str], within_s: float) -> bool:
        """Wait until nothing of `pairs` waits any more, at most `within_s`; tell whether that came true."""
        with trio.move_on_after(within_s):
            while not self.waiting().keys().isdisjoint(pairs):
                await self._stored.wait()
            return True
        return False

    def _remove(self, batch: Sequence[Settled]) -> None:
        stored = set(map(id, batch))
        while self._waiting and id(self._waiting[0]) in stored:  # others may have been given up meanwhile
            self._waiting.popleft()
        self.last_row_ms.update({row.pair: row.timestamp_ms for done in batch for row in done.rows})
        self._changed()

    def _changed(self) -> None:
        if not self._waiting and self._filled.is_set():  # an event that is not set is being waited for
            self._filled = trio.Event()
        self._stored.set()
        self._stored = trio.Event()
