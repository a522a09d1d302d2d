"""Settled instants on their way to PostgreSQL: kept in order, stored with the checkpoint they reach, then acknowledged.

    Desk.settle ─▶ Outbox ─▶ one transaction (rows + checkpoints) ─▶ XACK

The rule: acknowledge after commit, never before. While PostgreSQL is away the outbox grows up to a bound; what a killed
process had in it is computed again from the stream, to the same digits.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import islice

import trio

from priceverse.aggregator.patience import patiently
from priceverse.bus import group
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.bus.entries import StreamId
from priceverse.db import prices as table
from priceverse.db.pool import Database
from priceverse.log import get_logger
from priceverse.metrics import catalogue as metric
from priceverse.metrics import tally
from priceverse.pricing.desk import Settled

MAX_WAITING = 20_000
"""Instants kept while PostgreSQL is away: more than ten hours of four pairs every ten seconds."""

BATCH = 500

Store = Callable[[Sequence[Settled]], Awaitable[None]]
Acknowledge = Callable[[Mapping[str, int]], Awaitable[None]]


async def positions(db: Database, pairs: Collection[str]) -> dict[str, int]:
    """Return the stream time up to which the history of each pair is stored. Raises DatabaseUnavailable."""
    found = await table.checkpoints(db, sorted(pairs))
    return {pair: StreamId.parse(stream_id).ms + 1 for pair, stream_id in found.items()}


async def commit(db: Database, settled: Sequence[Settled]) -> None:
    """Store rows and the positions they reach, all or nothing. Raises DatabaseUnavailable."""
    rows = [
        table.HistoryRow(row.pair, row.price, row.timestamp_ms, row.method, row.sources, row.volume)
        for done in settled
        for row in done.rows
    ]
    reached = [table.Checkpoint(pair, str(StreamId.before(ms))) for pair, ms in reach(settled).items()]
    await table.insert(db, rows, reached)
    tally.count(metric.ROWS, len(rows))


def reach(settled: Sequence[Settled]) -> dict[str, int]:
    """Return the position that each pair has after `settled`, which are in order."""
    return {done.pair: done.position_ms for done in settled}


async def acknowledge(door: RedisDoor, reached: Mapping[str, int]) -> None:
    """Acknowledge what is stored; while Redis is away not even that: the next commit acknowledges these entries too."""
    with suppress(RedisUnavailable):
        for pair, position_ms in reached.items():
            await group.acknowledge(door, pair, position_ms)


class Outbox:
    """What is settled and not stored yet. `store` raises DatabaseUnavailable; `acknowledge` hears what is stored."""

    def __init__(self, store: Store, acknowledge: Acknowledge) -> None:
        self._store = store
        self._acknowledge = acknowledge
        self._waiting: deque[Settled] = deque()
        self._filled = trio.Event()
        self._stored = trio.Event()
        self.dropped = 0
        self.last_row_ms: dict[str, int] = {}

    def put(self, settled: Sequence[Settled]) -> None:
        """Add instants; beyond the bound the oldest are given up, and counted."""
        self._waiting.extend(settled)
        excess = len(self._waiting) - MAX_WAITING
        if excess > 0:
            for _ in range(excess):
                self._waiting.popleft()
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
            await self._filled.wait()
            batch = list(islice(self._waiting, BATCH))
            await patiently(lambda: self._store(batch), task="history")  # noqa: B023 - awaited right here
            self._remove(batch)
            await self._acknowledge(reach(batch))

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
        if not self._waiting:
            self._filled = trio.Event()
        self.last_row_ms.update({row.pair: row.timestamp_ms for done in batch for row in done.rows})
        self._stored.set()
        self._stored = trio.Event()
