"""Which trades were seen: each (exchange, trade id) counts once, for as long as a repetition of it could count at all.

The rule: an id is forgotten only when its trade is so old that the trade itself would be refused. So a trade fetched
twice, written twice after an ambiguous failure, or read again by the next owner is known.
"""

from collections import defaultdict
from dataclasses import dataclass, field

SLICE_MS = 60_000
"""Ids are forgotten in slices of event time: the memory of one slice more than needed."""


@dataclass(slots=True)
class _Venue:
    ids: set[str] = field(default_factory=set)
    slices: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))


class Known:
    """The trades seen since a floor of event time."""

    def __init__(self) -> None:
        self._venues: defaultdict[str, _Venue] = defaultdict(_Venue)

    def __len__(self) -> int:
        return sum(len(venue.ids) for venue in self._venues.values())

    def add(self, exchange: str, trade_id: str, ms: int) -> bool:
        """Note a trade of time `ms`; tell whether it is new."""
        venue = self._venues[exchange]
        before = len(venue.ids)
        venue.ids.add(trade_id)
        if len(venue.ids) == before:
            return False
        venue.slices[ms // SLICE_MS].append(trade_id)
        return True

    def forget(self, before_ms: int) -> None:
        """Drop the ids of trades older than `before_ms`, some of them a slice later."""
        first = before_ms // SLICE_MS
        for venue in self._venues.values():
            for place in [place for place in venue.slices if place < first]:
                venue.ids.difference_update(venue.slices.pop(place))
