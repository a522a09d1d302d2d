"""Which trades were seen: each (exchange, trade id) counts once, for as long as a repetition of it could count at all.

Venues number their trades, so an hour of ids is a few runs of neighbouring numbers, not a million strings. The rule: an
id is forgotten only when its trade is so old that the trade itself would be refused. So a trade fetched twice, written
twice after an ambiguous failure, or read again by the next owner is known.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

SLICE_MS = 300_000
"""Ids are forgotten in slices of event time: the memory of one slice more than needed."""

MOST_DIGITS = 20
"""Longer numbers are nobody's count."""

MOST_RUNS = 4096
"""A slice with more runs puts no further one between two others, which moves all that are behind it."""


@dataclass(slots=True)
class Ids:
    """Ids of a stretch of time: numbers as runs, first and last of each in ascending order; others as they are."""

    firsts: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    others: set[int | str] = field(default_factory=set)

    def __len__(self) -> int:
        return sum(self.lasts) - sum(self.firsts) + len(self.firsts) + len(self.others)

    def __contains__(self, name: int | str) -> bool:
        if isinstance(name, int):
            place = bisect_right(self.firsts, name)
            if place and name <= self.lasts[place - 1]:
                return True
        return name in self.others

    def add(self, number: int) -> None:
        """Take a number that is not in here."""
        firsts, lasts = self.firsts, self.lasts
        if lasts and lasts[-1] == number - 1:  # as a rule
            lasts[-1] = number
            return
        place = bisect_right(firsts, number)
        if place and lasts[place - 1] == number - 1:
            lasts[place - 1] = number
            if place < len(firsts) and firsts[place] == number + 1:
                del firsts[place], lasts[place - 1]
        elif place < len(firsts) and firsts[place] == number + 1:
            firsts[place] = number
        elif place == len(firsts) or len(firsts) < MOST_RUNS:
            firsts.insert(place, number)
            lasts.insert(place, number)
        else:
            self.others.add(number)


@dataclass(slots=True)
class _Venue:
    highest: int = -1  # of all numbers there ever were: what is above it is new
    slices: defaultdict[int, Ids] = field(default_factory=lambda: defaultdict(Ids))


class Known:
    """The trades seen since a floor of event time."""

    def __init__(self) -> None:
        self._venues: defaultdict[str, _Venue] = defaultdict(_Venue)

    def __len__(self) -> int:
        return sum(len(ids) for venue in self._venues.values() for ids in venue.slices.values())

    def add(self, exchange: str, trade_id: str, ms: int) -> bool:
        """Note a trade of time `ms`; tell whether it is new."""
        venue = self._venues[exchange]
        if "1" <= trade_id < ":" and trade_id.isdecimal() and trade_id.isascii() and len(trade_id) <= MOST_DIGITS:
            number = int(trade_id)
            if number > venue.highest:
                venue.highest = number
            elif any(number in ids for ids in venue.slices.values()):
                return False
            venue.slices[ms // SLICE_MS].add(number)
            return True
        if any(trade_id in ids for ids in venue.slices.values()):
            return False
        venue.slices[ms // SLICE_MS].others.add(trade_id)
        return True

    def forget(self, before_ms: int) -> None:
        """Drop the ids of trades older than `before_ms`, some of them a slice later."""
        first = before_ms // SLICE_MS
        for venue in self._venues.values():
            for place in [place for place in venue.slices if place < first]:
                del venue.slices[place]
