"""Which trades go on the bus: those of the market, of now or missed, and not had before. Pure.

The rule: a trade is had once, by (symbol, trade id), whatever becomes of it and whichever way it came. One whose time
is wrong has not been had: history will tell it right.
"""

from enum import StrEnum

from priceverse.collector.coverage import Coverage
from priceverse.exchanges.protocol import Mark
from priceverse.model.trade import Trade

MAX_AHEAD_MS = 5_000
MAX_BEHIND_MS = 3_600_000
REMEMBERED = 2048
"""Ids kept per symbol, at least (at most twice as many, 0.4 MB): more than the longest history without numbers (100),
the largest frame (1,024 rows), and an overlap of 5 s at 400 trades a second."""


class Verdict(StrEnum):
    """What becomes of a trade; the label under which it is counted."""

    ADMITTED = "admitted"
    BACKFILLED = "backfilled"  # missed, and now had after all: from history, or from a replay
    DUPLICATE = "duplicate"  # counted already: a replay, or two connections at once
    HISTORICAL = "historical"  # the venue said itself that it is old
    BLOCK = "block"  # off the book: it makes no price
    CLOCK_AHEAD = "clock_ahead"
    CLOCK_BEHIND = "clock_behind"


PASSING = (Verdict.ADMITTED, Verdict.BACKFILLED)


class Recent:
    """A bounded set of the newest values: two generations, the older one forgotten as a whole.

    Remembers at least the last `capacity` values at the price of one or two set look-ups each, without a queue.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._young: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, value: str) -> bool:
        return value in self._young or value in self._old

    def add(self, value: str) -> None:
        """Remember `value`."""
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, set()
        self._young.add(value)


class Book:
    """What has been had of one symbol: by number where the venue counts its trades, else by remembering ids.

    `first` and `newest` are the earliest had and the latest of those remembered; `dropped` is the time of those that
    nothing can bring back, if any. Where ids tell nothing, `sound` is up to where all is known to have been had, and
    `doubted` the same from the moment when that is no longer as far as trades go, until it is again. `is_heard` once
    the connection has brought a trade.
    """

    def __init__(self, *, is_numbered: bool, remembered: int) -> None:
        self.coverage = Coverage() if is_numbered else None
        self.first: Mark | None = None
        self.newest: Mark | None = None
        self.dropped: tuple[int, int] | None = None
        self.sound: Mark | None = None
        self.doubted: Mark | None = None
        self.is_heard = False
        self._doubts = 0
        self._seen = Recent(remembered)

    @property
    def opened(self) -> int:
        """Rise whenever more may be missing than before."""
        return self._doubts if self.coverage is None else self.coverage.opened

    def doubt(self) -> None:
        """Note that another connection begins: what came before it may have been missed."""
        self.is_heard = False
        self._begin_doubt()

    def has_room(self, trade: Trade) -> bool:
        """Tell whether nothing of the trade has been had."""
        coverage = self._numbering(trade)
        return trade.trade_id not in self._seen if coverage is None else coverage.has_room(trade)

    def take(self, trade: Trade, now_ms: int) -> None:
        """Note that a trade, for which there is room, has been had."""
        coverage = self._numbering(trade)
        if coverage is None:
            self._seen.add(trade.trade_id)
            self.is_heard = self.is_heard or not trade.historical
            if self.newest is None or trade.timestamp_ms >= self.newest.timestamp_ms:
                self.newest = Mark(trade.trade_id, trade.timestamp_ms)
                self.first = self.first or self.newest
        else:
            coverage.take(trade, now_ms)

    def repeated(self, trade: Trade, now_ms: int) -> None:
        """Note a trade for which there is no room: if only a part of it has been had, the rest is missing."""
        coverage = self._numbering(trade)
        if coverage is not None:
            coverage.exists(int(trade.trade_id), trade.timestamp_ms, now_ms)

    def lose(self, trade: Trade, now_ms: int) -> None:
        """Note that a trade that had been had never got through: missing again, or beyond recall."""
        coverage = self._numbering(trade)
        if coverage is not None:
            coverage.lose(trade, now_ms)
        else:
            since_ms, until_ms = self.dropped or (trade.timestamp_ms, trade.timestamp_ms)
            self.dropped = (min(since_ms, trade.timestamp_ms), max(until_ms, trade.timestamp_ms))
            self._begin_doubt()

    def recall(self, mark: Mark) -> None:
        """Note a trade that had been had before this process began."""
        if self.coverage is not None and mark.trade_id.isdecimal():
            self.coverage.recall(int(mark.trade_id), mark.timestamp_ms)
        else:
            self._seen.add(mark.trade_id)
            self.first = self.newest = self.sound = mark

    def resume(self, mark: Mark) -> None:
        """Note that, where ids tell nothing, all has been had up to `mark` only, whatever is remembered."""
        self.first = self.sound = self.doubted = mark
        self._doubts += 1

    @property
    def is_begun(self) -> bool:
        """True if what is new in a replay is known to have been missed."""
        return self.coverage is not None and self.coverage.is_begun

    def _begin_doubt(self) -> None:
        if self.coverage is None and self.doubted is None and self.sound is not None:
            self.doubted = self.sound
            self._doubts += 1

    def _numbering(self, trade: Trade) -> Coverage | None:
        """Return the coverage that answers for the trade; None where ids have to be remembered one by one."""
        coverage, trade_id = self.coverage, trade.trade_id
        if coverage is None or not trade_id.isdecimal():
            return None
        is_replay = trade.historical and coverage.top is not None and int(trade_id) <= coverage.top
        return coverage if is_replay or not coverage.is_leap(int(trade_id), trade.timestamp_ms) else None


class Admission:
    """Judge the trades of one exchange, over all its connections and its history."""

    def __init__(self, *, is_numbered: bool = False, remembered: int = REMEMBERED) -> None:
        self._is_numbered = is_numbered
        self._remembered = remembered
        self._books: dict[str, Book] = {}

    def book(self, symbol: str) -> Book:
        """Return the book of a symbol; there are as many as the adapter's symbol map has."""
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = Book(is_numbered=self._is_numbered, remembered=self._remembered)
        return book

    def doubt(self) -> None:
        """Note that another connection begins."""
        for book in self._books.values():
            book.doubt()

    def judge(self, trade: Trade, now_ms: int, *, wanted: bool = False) -> Verdict:
        """Return what becomes of `trade`, received at `now_ms`; `wanted` if it was asked for because it is missing."""
        book = self.book(trade.symbol)
        coverage = book.coverage
        is_next = coverage is not None and coverage.continues(trade)
        if not is_next and not book.has_room(trade):
            book.repeated(trade, now_ms)
            return Verdict.HISTORICAL if trade.historical else Verdict.DUPLICATE
        if trade.timestamp_ms - now_ms > MAX_AHEAD_MS:
            return Verdict.CLOCK_AHEAD
        if not trade.historical and now_ms - trade.timestamp_ms > MAX_BEHIND_MS:
            return Verdict.CLOCK_BEHIND
        was_missed = wanted or (trade.historical and book.is_begun)
        if is_next and coverage is not None:
            coverage.advance(trade)
        else:
            book.take(trade, now_ms)
        if trade.historical and not was_missed:
            return Verdict.HISTORICAL
        if trade.block:
            return Verdict.BLOCK
        return Verdict.BACKFILLED if trade.historical else Verdict.ADMITTED
