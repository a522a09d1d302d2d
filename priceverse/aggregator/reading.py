"""Reading the owned streams through the group, and the reference beside them: every read moves the desk on.

The rule: one read at a time, and what is followed changes only between two reads; so an entry that a read took from the
group always reaches the pricer that the group's cursor was set for.
"""

from collections.abc import Callable

import trio

from priceverse.aggregator.patience import patiently
from priceverse.aggregator.stream import Followed
from priceverse.bus import group
from priceverse.bus.client import RedisDoor
from priceverse.bus.trades import GroupLost, TradeReader
from priceverse.log import get_logger

READ_EVERY_S = 0.05
"""Shortest time between reads: more entries a read, fewer thread hops, a fifth of the publish interval."""

IDLE_S = 0.2


class Reading:
    """What is followed now. `between` two reads `owned` and `reference` may be changed."""

    def __init__(self, reader: TradeReader, door: RedisDoor, on_read: Callable[[int], None]) -> None:
        self._reader = reader
        self._door = door
        self._on_read = on_read
        self.between = trio.Lock()
        self.owned: dict[str, Followed] = {}
        self.reference: Followed | None = None

    async def run(self) -> None:
        """Read for ever; `on_read` hears how many trades each read gave."""
        while True:
            began_s = trio.current_time()
            if self.owned:
                await patiently(self._read, task="read")
                await trio.sleep_until(began_s + READ_EVERY_S)
            else:
                await trio.sleep(IDLE_S)

    async def _read(self) -> None:
        async with self.between:
            followed = {self.reference.pricer.pair: self.reference.cursor} if self.reference else {}
            try:
                owned, others = await self._reader.read(self.owned, followed)
            except GroupLost as lost:
                await self._regroup(lost)
                return
            count = sum(self.owned[pair].take(entries) for pair, entries in owned.items())
            for entries in others.values():
                assert self.reference is not None
                self.reference.take(entries)
        self._on_read(count)

    async def _regroup(self, lost: GroupLost) -> None:
        """Redis was emptied or restarted: go on from where we are; what we read already is not lost."""
        get_logger().warning("group_lost", error=str(lost), pairs=sorted(self.owned))
        for pair, followed in self.owned.items():
            await group.seek(self._door, pair, followed.cursor)
