"""A stream being read: the pricer that it feeds, and how far it has been read."""

from dataclasses import dataclass

from priceverse.aggregator.patience import patiently
from priceverse.bus.client import RedisDoor
from priceverse.bus.trades import BEGINNING, Entries, StreamId, page
from priceverse.pricing.pricer import PairPricer


@dataclass(slots=True, eq=False)
class Followed:
    """Everything up to `cursor` has been fed to the pricer, save `unreadable` entries that nobody of us wrote.

    After `since` the group gives entries to nobody else.
    """

    pricer: PairPricer
    cursor: StreamId
    unreadable: int = 0
    since: StreamId = BEGINNING

    def take(self, entries: Entries) -> int:
        """Feed what was read next; return how many trades."""
        for entry in entries.trades:
            self.pricer.feed(entry)
        self.pricer.reach(entries.complete_ms)
        self.cursor = max(self.cursor, entries.last or self.cursor)
        self.unreadable += entries.unreadable
        return len(entries.trades)

    async def catch_up(self, door: RedisDoor) -> int:
        """Read page by page to the end of the stream, without the group; return how many trades that were."""
        total = 0
        while True:
            entries = await patiently(lambda: page(door, self.pricer.pair, self.cursor), task="catch_up")
            total += self.take(entries)
            if not entries.is_full:
                return total
