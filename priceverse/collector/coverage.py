"""Which trades of one symbol have been had, where a venue numbers them: all up to the newest, but for the holes. Pure.

    ids   … 41 42 43 44 45 46 47 48 49      `top` is 49: the newest that is known to exist
    had    ✓  ✓  ✓  ·  ·  ✓  ✓  ✓  ·       two holes, 44–45 and 49 (a heartbeat has named it)

A row may stand for several ids. The rule: an id is had once. A row of which any part has been had does not fit any
more; what is then still missing of it stays a hole, for REST to fill match by match.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from priceverse.model.trade import Trade

RESTARTED_MS = 60_000
"""A live trade with an old id, so much later than the newest, shows that the venue has begun to count anew."""
MOST_PASSED_OVER = 1_000_000
"""No venue makes so many trades within `RESTARTED_MS`: an id that leaps further is of another series."""
FRESH_MOST = 1000


class Span(NamedTuple):
    """Ids, both ends included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many ids they are."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Hole:
    """Ids that have been passed over; what is missing happened from `since_ms` to `until_ms` (exchange time).

    `asked`: how often history has been read for it in vain.
    """

    span: Span
    since_ms: int
    until_ms: int
    found_ms: int
    asked: int = 0


class Coverage:
    """The ids of one symbol. `is_begun` from the first trade that was neither a replay nor a hint.

    `found` counts the holes, `opened` whatever has made more ids missing; `fresh` are the newest holes as they were
    when they opened, until somebody has looked and clears them.
    """

    def __init__(self) -> None:
        self.top: int | None = None
        self.top_ms = 0
        self.is_begun = False
        self.holes: list[Hole] = []
        self.found = 0
        self.opened = 0
        self.fresh: deque[Hole] = deque(maxlen=FRESH_MOST)

    def continues(self, trade: Trade) -> bool:
        """Tell whether a row is the very next: the usual case, told cheaply."""
        trade_id = trade.trade_id
        return self.top is not None and trade_id.isdecimal() and int(trade_id) - trade.count == self.top

    def advance(self, trade: Trade) -> None:
        """Note that the very next row has been had."""
        assert self.top is not None
        self.top += trade.count
        self.top_ms = trade.timestamp_ms
        self.is_begun = self.is_begun or not trade.historical

    def has_room(self, trade: Trade) -> bool:
        """Tell whether nothing of the row has been had."""
        first, last = span(trade)
        if self.top is None or first > self.top:
            return True
        if any(hole.span.first <= first and last <= hole.span.last for hole in self.holes):
            return True
        return self._shows_restart(trade)

    def take(self, trade: Trade, now_ms: int) -> None:
        """Note that a row, for which there is room, has been had."""
        taken = span(trade)
        if self.top is not None and taken.last <= self.top and self._shows_restart(trade):
            self.top, self.holes = None, []
        if self.top is None or taken.first > self.top:
            self._pass_over(taken.first - 1, trade.timestamp_ms, now_ms)
            self.top, self.top_ms = taken.last, trade.timestamp_ms
        else:
            self.holes = [rest for hole in self.holes for rest in _without(hole, taken, trade.timestamp_ms)]
        self.is_begun = self.is_begun or not trade.historical

    def recall(self, trade_id: int, timestamp_ms: int) -> None:
        """Begin from a trade that was had before: whatever is older is known or given up."""
        if self.top is None or trade_id > self.top:
            self.top, self.top_ms = trade_id, timestamp_ms
        self.is_begun = True

    def reopen(self, holes: Iterable[Hole], had: Iterable[tuple[int, int]]) -> None:
        """Begin with what had been missing before; of it `had`, ids and their times, have come since."""
        known = sorted(had)
        for hole in holes:
            self.holes += (rest for rest in _left_of(hole, known) if self.top is not None and rest.span.last < self.top)
        self.found += len(self.holes)
        self.opened += 1

    def exists(self, trade_id: int, timestamp_ms: int, now_ms: int) -> None:
        """Note that a trade exists, by whatever is known of it but itself."""
        if self.top is not None and trade_id > self.top and not self.is_leap(trade_id, timestamp_ms):
            self._pass_over(trade_id, timestamp_ms, now_ms)
            self.top, self.top_ms = trade_id, timestamp_ms

    def lose(self, trade: Trade, now_ms: int) -> None:
        """Note that a row that had been had is missing again."""
        first, last = span(trade)
        since_ms = trade.timestamp_ms
        self.opened += 1
        for at in reversed(range(len(self.holes))):  # rows go missing in a row: it is nearly always the last
            if self.holes[at].span.last == first - 1:
                before = self.holes.pop(at)
                first, since_ms = before.span.first, before.since_ms
                break
        else:
            self.found += 1
        self.holes.append(Hole(Span(first, last), since_ms, max(since_ms, trade.timestamp_ms), now_ms))

    def is_leap(self, trade_id: int, timestamp_ms: int) -> bool:
        """Tell whether an id is too far from the top, up or down, to be of the same series."""
        if self.top is None or abs(trade_id - self.top) <= MOST_PASSED_OVER:
            return False
        return timestamp_ms <= self.top_ms + RESTARTED_MS

    def asked(self, asked: Span) -> None:
        """Note that history has been read for `asked`: what is still missing of it was not there."""
        self.holes = [
            replace(hole, asked=hole.asked + 1) if asked.first <= hole.span.first <= asked.last else hole
            for hole in self.holes
        ]

    def give_up(self, hole: Hole) -> None:
        """Count a hole as had: it will not be filled."""
        self.holes = [other for other in self.holes if other.span != hole.span]

    def _pass_over(self, until: int, timestamp_ms: int, now_ms: int) -> None:
        """Open a hole from the top to the id `until`, if there is anything between them."""
        if self.top is not None and until > self.top:
            missing = Span(self.top + 1, until)
            self.holes.append(Hole(missing, min(self.top_ms, timestamp_ms), timestamp_ms, now_ms))
            self.fresh.append(self.holes[-1])
            self.found += 1
            self.opened += 1

    def _shows_restart(self, trade: Trade) -> bool:
        return not trade.historical and trade.timestamp_ms > self.top_ms + RESTARTED_MS


def span(trade: Trade) -> Span:
    """Return the ids that a row stands for."""
    last = int(trade.trade_id)
    return Span(last - trade.count + 1, last)


def _without(hole: Hole, taken: Span, at_ms: int) -> list[Hole]:
    """Return what is left of a hole."""
    first, last = hole.span
    if taken.last < first or last < taken.first:
        return [hole]
    left = []
    if first < taken.first:
        left.append(replace(hole, span=Span(first, taken.first - 1), until_ms=at_ms))
    if taken.last < last:
        left.append(replace(hole, span=Span(taken.last + 1, last), since_ms=at_ms))
    return left


def _left_of(hole: Hole, had: Sequence[tuple[int, int]]) -> Iterator[Hole]:
    """Return what is left of a hole without `had`, which is sorted."""
    first, since_ms = hole.span.first, hole.since_ms
    inside = had[bisect_left(had, (first,)) : bisect_right(had, (hole.span.last + 1,))]
    for trade_id, at_ms in inside:
        if trade_id > first:
            yield replace(hole, span=Span(first, trade_id - 1), since_ms=since_ms, until_ms=at_ms)
        first, since_ms = trade_id + 1, at_ms
    if first <= hole.span.last:
        yield replace(hole, span=Span(first, hole.span.last), since_ms=since_ms)
