"""Live prices on their way to Redis: as soon as they are due, and again and again while the market is quiet."""

from collections import deque
from collections.abc import Callable, Sequence

import trio

from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.bus.prices import PriceWriter
from priceverse.clock import now_ms
from priceverse.log import get_logger
from priceverse.metrics import catalogue, tally
from priceverse.pricing.desk import Desk, Due

LONGEST_IDLE_S = 1.0
"""The clock may go back meanwhile."""

AWAY_S = 0.5
LATENCY_SPAN_MS = 60_000


class Latencies:
    """How long the oldest unseen trade of each publication had waited since we received it, over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()

    def add(self, at_ms: int, latency_ms: int) -> None:
        """Note one publication."""
        self._seen.append((at_ms, latency_ms))
        while self._seen[0][0] < at_ms - LATENCY_SPAN_MS:
            self._seen.popleft()

    def quantile(self, share: float) -> int | None:
        """Return the latency that `share` of the publications did not exceed; None if there were none."""
        ordered = sorted(latency for _, latency in self._seen)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


class Publisher:
    """Publishes what desks say is due, of pairs that are surely ours; `wake` it when trades came."""

    def __init__(self, desks: Sequence[Desk], door: RedisDoor, is_sure: Callable[[str], bool]) -> None:
        self._desks = desks
        self._is_sure = is_sure
        self._writer = PriceWriter(door)
        self._woken = trio.Event()
        self.latencies = Latencies()
        self.published = 0
        self.is_redis_away = False

    def wake(self) -> None:
        """Look again what is due, and when."""
        self._woken.set()

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            with trio.move_on_after(self._idle_s()):
                await self._woken.wait()
            self._woken = trio.Event()
            due = [each for desk in self._desks for each in desk.due(now_ms()) if self._is_sure(each.pair)]
            if due and not await self._publish(due):
                await trio.sleep(AWAY_S)

    def _idle_s(self) -> float:
        due_ms = [at_ms for desk in self._desks if (at_ms := desk.next_due_ms()) is not None]
        return min(max(min(due_ms) - now_ms(), 0) / 1000, LONGEST_IDLE_S) if due_ms else LONGEST_IDLE_S

    async def _publish(self, due: Sequence[Due]) -> bool:
        """Publish, or let it be due again; tell whether Redis took it."""
        try:
            await self._writer.publish([price for each in due for price in each.prices])
        except RedisUnavailable as error:
            for desk in self._desks:
                desk.unpublished(due)
            self._note(away=True, error=str(error))
            return False
        self._note(away=False)
        self.published += sum(len(each.prices) for each in due)
        at_ms = now_ms()
        for each in due:
            if each.waiting_since_ms is not None:
                self.latencies.add(at_ms, at_ms - each.waiting_since_ms)
                tally.observe(catalogue.PUBLISH, (at_ms - each.waiting_since_ms) / 1000)
        return True

    def _note(self, *, away: bool, error: str = "") -> None:
        if away and not self.is_redis_away:
            get_logger().warning("live_prices_held", error=error)
        if self.is_redis_away and not away:
            get_logger().info("live_prices_resumed")
        self.is_redis_away = away
