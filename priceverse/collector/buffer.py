"""Trades on their way to Redis: a bounded queue that drops its oldest, and the size of the batches taken from it. Pure.

The rule: an absent Redis never holds up the socket. When it is away for longer than the bound lasts, the newest trades
are the ones worth keeping.
"""

from collections import deque
from collections.abc import Iterable

from priceverse.bus.trades import Received

CAPACITY = 20_000
"""About 15 MB of trades: many minutes of a normal market, some seconds of the busiest venue's worst."""
BATCH = 500


class Buffer:
    """Trades that wait; `dropped` counts those that did not get through."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._waiting: deque[Received] = deque()
        self._capacity = capacity
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def extend(self, trades: Iterable[Received]) -> list[Received]:
        """Append `trades`; beyond the capacity the oldest go, and are returned."""
        self._waiting.extend(trades)
        gone = self.take(len(self._waiting) - self._capacity)
        self.dropped += len(gone)
        return gone

    def take(self, most: int = BATCH) -> list[Received]:
        """Remove and return the oldest, at most `most`."""
        return [self._waiting.popleft() for _ in range(max(0, min(most, len(self._waiting))))]
