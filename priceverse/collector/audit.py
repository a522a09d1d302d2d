"""Missing trades found over REST, where ids tell nothing: the newest trades are read again and again, and compared.

    history   … a b c d e f g h            e and g did not come; e is old enough to be called missing and is passed on,
    had       … a b c d   f   h            g may still be on its way
                          ▲                the mark, now at f: the newest trade up to which all has been had

The rule: history reaches back a few dozen trades only, so it is read before more than that is new. A process that
follows another reads it before it is connected, and again until a reading and a connection overlap. When it does not
reach back to the mark, and the connection was in trouble lately, what lies between is a loss. Whatever is missed
between two readings that overlap is had, though the connection be dead.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from priceverse import clock
from priceverse.collector.admission import Book
from priceverse.collector.backfill import LOOK_EVERY_S, RIPE_MS, Lose
from priceverse.collector.history import History, pause_s
from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from priceverse.exchanges.protocol import Adapter, Gap, Mark, Page, PageError
from priceverse.model.loss import LossReason
from priceverse.model.trade import Trade
from priceverse.net.errors import NetError

SHARE = 0.15
"""History is read again when about so much of it is new: the rest is for a burst, and for a request that fails."""
LEAST_S, MOST_S = 0.5, 5.0
LONGER = 2.0
"""A pause is at most so many times the last one: a pace must have been seen for a while to be believed."""
TRUST_MS = 30_000
"""So long a connection must have brought everything to be believed where history does not reach back."""
CALM = 0.8
"""A pace is forgotten by so much from one reading to the next."""


@dataclass(slots=True)
class Tail:
    """A symbol's newest trades: up to `mark` all has been had.

    `is_whole`: the connection has held since, and the last reading missed nothing; `trouble_ms` is when it was last
    otherwise. `is_proven`: the connection had brought trades by then, too. `pace` is the lately fastest rate, in trades
    per second.
    """

    mark: Mark
    breaks: int
    is_whole: bool
    is_proven: bool = False
    trouble_ms: int = 0
    pace: float = 0.0


class Audit:
    """Compare the newest trades of one exchange with what has been had; `lose` hears what cannot be had."""

    def __init__(
        self,
        adapter: Adapter,
        history: History,
        intake: Intake,
        ledger: Ledger,
        lose: Lose,
        *,
        now_ms: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._adapter = adapter
        self._rows = adapter.newest_rows or 1
        self._history = history
        self._intake = intake
        self._ledger = ledger
        self._lose = lose
        self._now_ms = now_ms

    async def run(self) -> None:
        """Look after every symbol until cancelled."""
        async with trio.open_nursery() as nursery:
            for symbol in self._adapter.pairs:
                nursery.start_soon(self._follow, symbol)

    async def _follow(self, symbol: str) -> None:
        """Begin at the first trade that is had or, at once, at the last that was had before this process."""
        book = self._intake.admission.book(symbol)
        was_begun = book.first is not None
        while book.first is None:  # noqa: ASYNC110 - the book is pure and tells nobody
            await trio.sleep(LOOK_EVERY_S)
        book.sound = book.first
        tail = Tail(book.first, self._ledger.breaks, is_whole=not was_begun)
        wait_s, failures = 0.0 if was_begun else LEAST_S, 0
        while True:
            await self._pause(tail, pause_s(wait_s, failures), failures)
            self._lose_dropped(symbol, book)
            try:
                page = await self._history.page(Gap(symbol, tail.mark))
            except (NetError, PageError) as error:
                failures += 1
                self._history.unanswered(symbol, error)
            else:
                longest_s = max(LONGER * wait_s, LEAST_S)
                wait_s, failures = min(self._compare(symbol, book, tail, page), longest_s), 0

    async def _pause(self, tail: Tail, seconds: float, failures: int) -> None:
        """Wait, but no longer than it takes to see that the connection has broken."""
        until_s = trio.current_time() + seconds
        while (left_s := until_s - trio.current_time()) > 0:
            was_whole = tail.is_whole
            await trio.sleep(min(left_s, LOOK_EVERY_S))
            self._look_at_connection(tail)
            if was_whole and not tail.is_whole and not failures:
                return

    def _look_at_connection(self, tail: Tail) -> None:
        tail.is_whole = tail.is_whole and self._ledger.is_connected and tail.breaks == self._ledger.breaks
        tail.is_proven = tail.is_proven and tail.is_whole

    def _compare(self, symbol: str, book: Book, tail: Tail, page: Page) -> float:
        """Pass on what was missed and move the mark up; return when to look again, seconds from now."""
        now_ms = self._now_ms()
        self._look_at_connection(tail)
        elapsed_s = max(now_ms - tail.mark.timestamp_ms, RIPE_MS) / 1000
        tail.pace = max(len(page.trades) / elapsed_s, CALM * tail.pace)
        takes_all = page.is_cut or not tail.is_whole
        ripe = [each for each in page.trades if takes_all or each.timestamp_ms <= now_ms - RIPE_MS]
        missed = self._intake.fill(ripe, now_ms)
        if missed or not tail.is_whole:
            tail.trouble_ms = now_ms
        if page.is_cut and now_ms - tail.trouble_ms < TRUST_MS:
            since_ms, until_ms = tail.mark.timestamp_ms, page.trades[0].timestamp_ms
            self._lose(self._adapter.pairs[symbol], since_ms, until_ms, LossReason.FORGOTTEN)
        tail.mark = _newest_had(book, page.trades) or tail.mark
        tail.breaks, tail.is_whole = self._ledger.breaks, self._ledger.is_connected and not missed
        _believe(book, tail)
        if not tail.is_whole:
            return LEAST_S
        return min(max(SHARE * self._rows / max(tail.pace, 1.0), LEAST_S), MOST_S)

    def _lose_dropped(self, symbol: str, book: Book) -> None:
        """Tell of trades that had to go while Redis was away: history has them, but they are too many to tell apart."""
        if book.dropped is not None and not self._ledger.is_redis_away:
            since_ms, until_ms = book.dropped
            book.dropped = None
            self._lose(self._adapter.pairs[symbol], since_ms, until_ms, LossReason.DROPPED)


def _believe(book: Book, tail: Tail) -> None:
    """Note how far all has been had; beyond that nothing is in doubt after two whole readings of what comes live.

    Not while trades had to go of which nobody has been told.
    """
    if book.dropped is not None:
        return
    book.sound = tail.mark
    if book.doubted is not None:
        book.doubted = None if tail.is_whole and tail.is_proven else tail.mark
    tail.is_proven = tail.is_whole and book.is_heard


def _newest_had(book: Book, trades: tuple[Trade, ...]) -> Mark | None:
    """Return the last trade before the first that has not been had."""
    newest = None
    for trade in trades:
        if book.has_room(trade):
            break
        newest = Mark(trade.trade_id, trade.timestamp_ms)
    return newest
