"""Reading the owned streams through the group, and the reference beside them: every read moves the desk on.

The rule: one read at a time, and what is followed changes only between two reads; so an entry that a read took from the
group always reaches the pricer that the group's cursor was set for. A pair that may be somebody else's is not read.
"""

from collections.abc import Callable, Collection

import trio

from priceverse.aggregator.patience import patiently
from priceverse.aggregator.stream import Followed
from priceverse.bus import consumers, group
from priceverse.bus.client import RedisDoor
from priceverse.bus.leases import Leases
from priceverse.bus.trades import GroupLost, TradeReader
from priceverse.log import get_logger

READ_EVERY_S = 0.25
"""Longest pause between reads. What is read before a live price may go out would only wait for it."""

IDLE_S = 0.2


class Reading:
    """What is followed now. `between` two reads `owned` and `reference` may be changed.

    `on_read` hears how many trades each read gave, `on_robbed` of a pair of which somebody else read: it is out then.
    After a read that got everything the streams are left alone for `pause_s`, the pace of live prices: these come right
    after a read, so that the next one is due when the next read is done.
    """

    def __init__(
        self,
        door: RedisDoor,
        leases: Leases,
        *,
        reading_door: RedisDoor,
        child: str,
        pause_s: float,
        on_read: Callable[[int], None],
        on_robbed: Callable[[str], None],
    ) -> None:
        self._consumer = f"{child}@{leases.name}"
        self._reader = TradeReader(reading_door, self._consumer)
        self._door = door
        self._leases = leases
        self._pause_s = min(pause_s, READ_EVERY_S)
        self._on_read = on_read
        self._on_robbed = on_robbed
        self.between = trio.Lock()
        self.owned: dict[str, Followed] = {}
        self._unheard: set[str] = set()  # pairs whose last reply has not come: the group may be ahead of us
        self.reference: Followed | None = None

    async def run(self) -> None:
        """Read for ever."""
        while True:
            if not any(map(self._leases.is_sure, self.owned)):
                await trio.sleep(IDLE_S)
            elif not await patiently(self._read, task="read"):
                await trio.sleep(self._pause_s)

    async def _read(self) -> bool:
        """Read once; tell whether there may be more."""
        async with self.between:
            sure = [pair for pair in self.owned if self._leases.is_sure(pair)]
            followed = {self.reference.pricer.pair: self.reference.cursor} if self.reference else {}
            await self._seek(self._unheard.intersection(sure))
            self._unheard.update(sure)
            try:
                owned, others = await self._reader.read(sure, followed)
            except GroupLost as lost:
                await self._regroup(lost)
                return False
            self._unheard.difference_update(sure)
            closed = {pair: len(self.owned[pair].pricer.closed) for pair in owned}
            count = sum(self.owned[pair].take(entries) for pair, entries in owned.items())
            for entries in others.values():
                assert self.reference is not None
                self.reference.take(entries)
            await self._look_for_thieves([pair for pair in owned if len(self.owned[pair].pricer.closed) > closed[pair]])
            self._on_read(count)
            return any(entries.is_full for entries in (*owned.values(), *others.values()))

    async def _look_for_thieves(self, pairs: Collection[str]) -> None:
        """Give up pairs of which a former owner read, before what it read is missed in what is stored."""
        for pair in pairs:
            since = self.owned[pair].since
            if await patiently(lambda: consumers.others_read(self._door, pair, self._consumer, since), task="thieves"):  # noqa: B023 - awaited right here
                get_logger().warning("stream_read_by_others", pair=pair)
                del self.owned[pair]
                self._on_robbed(pair)

    async def _regroup(self, lost: GroupLost) -> None:
        """Redis was emptied or restarted: go on from where we are; what we read already is not lost."""
        get_logger().warning("group_lost", error=str(lost), pairs=sorted(self.owned))
        await self._seek(self.owned)

    async def _seek(self, pairs: Collection[str]) -> None:
        """Set the groups to where we are: what they gave and we did not get is given again."""
        for pair in pairs:
            await group.seek(self._door, pair, self.owned[pair].cursor)
