"""Missing trades fetched over REST: what a connection did not bring, wherever the venue still has it.

    numbered     a hole in the ids ─▶ a moment's patience ─▶ pages of history ─▶ intake; after a break also the tail
    unnumbered   ids tell nothing ─▶ the newest trades are read again and again ─▶ what was not had ─▶ intake

The rule: what history has is passed on in order, once, however late; what it does not have is a loss with its time
range. A history row of the aggregator counts what reached the stream before the row closed; later trades are in the
stream all the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from priceverse import clock
from priceverse.collector.admission import Book
from priceverse.collector.coverage import Coverage, Hole, Span
from priceverse.collector.history import History
from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from priceverse.collector.throttle import Throttle
from priceverse.exchanges.protocol import Adapter, Gap, Mark, Page, PageError
from priceverse.log import get_logger
from priceverse.model.loss import LossReason
from priceverse.model.trade import Trade
from priceverse.net.errors import NetError

LOOK_EVERY_S = 0.25
PATIENCE_MS = 500
"""A trade passed over may still come, out of order. Doubled each time that history does not have it yet."""
ASKS = 6
GIVE_UP_MS = 600_000
RIPE_MS = 1000
"""A younger trade of the history may still be on its way over the connection."""
MOST_PAGES = 50
CLUSTER = 1000
"""Holes within so many ids are filled by the same pages."""
RETRY_S, RETRY_CAP_S = 0.5, 30.0
LOG_EVERY_S = 10.0
POLL_SHARE = 0.25
"""The newest trades are read again when about so much of them is new: the rest is for a burst."""
POLL_LEAST_S, POLL_MOST_S = 0.5, 5.0
CALM = 0.8
"""A pace is forgotten by so much from one reading to the next."""

Lose = Callable[[str, int, int, LossReason], None]


@dataclass(slots=True)
class Tail:
    """An unnumbered symbol: everything up to `mark` has been had, and since then the connection held if `is_whole`.

    `pace` is its lately fastest rate, trades per second.
    """

    mark: Mark
    breaks: int
    is_whole: bool
    pace: float = 0.0


class Backfill:
    """Fetch what is missing of one exchange; `lose` hears what cannot be had."""

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
        self._history = history
        self._intake = intake
        self._ledger = ledger
        self._lose = lose
        self._now_ms = now_ms
        self._throttle = Throttle(LOG_EVERY_S)

    async def run(self) -> None:
        """Look after every symbol until cancelled."""
        async with trio.open_nursery() as nursery:
            for symbol in self._adapter.pairs:
                if self._adapter.is_numbered:
                    nursery.start_soon(self._tend, symbol)
                elif self._adapter.newest_rows:
                    nursery.start_soon(self._poll, symbol, self._adapter.newest_rows)

    # --- numbered ids

    async def _tend(self, symbol: str) -> None:
        """Close the holes of a symbol as they open, and catch up after each break of the connection."""
        coverage = self._intake.admission.book(symbol).coverage
        assert coverage is not None
        caught_up, failures = -1 if coverage.is_begun else self._ledger.breaks, 0
        while True:
            await trio.sleep(_pause_s(LOOK_EVERY_S, failures))
            self._tell_ledger()
            if self._ledger.is_redis_away:
                continue
            try:
                caught_up = await self._catch_up(symbol, coverage, caught_up)
                await self._close_holes(symbol, coverage)
                failures = 0
            except (NetError, PageError) as error:
                failures += 1
                self._unanswered(symbol, error)

    async def _catch_up(self, symbol: str, coverage: Coverage, caught_up: int) -> int:
        """Read what came after the last trade had, if the connection has broken since; return the breaks caught up."""
        breaks = self._ledger.breaks
        if caught_up == breaks or coverage.top is None or not self._ledger.is_connected:
            return caught_up
        await trio.sleep(RIPE_MS / 1000)
        await self._read(Gap(symbol, Mark(str(coverage.top), coverage.top_ms)))
        return breaks

    async def _close_holes(self, symbol: str, coverage: Coverage) -> None:
        now_ms = self._now_ms()
        self._lose_hopeless(symbol, coverage, now_ms)
        due = [hole for hole in coverage.holes if not 0 <= now_ms - hole.found_ms < PATIENCE_MS << hole.asked]
        if due:
            gap, asked = _around(symbol, due)
            await self._read(gap)
            coverage.asked(asked)

    def _lose_hopeless(self, symbol: str, coverage: Coverage, now_ms: int) -> None:
        for hole in coverage.holes[:]:
            if hole.asked >= ASKS:
                reason = LossReason.ABSENT
            elif now_ms - hole.found_ms > GIVE_UP_MS:
                reason = LossReason.UNAVAILABLE
            else:
                continue
            coverage.give_up(hole)
            self._lose(self._adapter.pairs[symbol], hole.since_ms, hole.until_ms, reason)

    async def _read(self, gap: Gap) -> None:
        """Pass on what history has of a gap. Raises NetError, PageError, what was read by then being passed on."""
        cursor: str | None = ""
        held: list[Trade] = []
        try:
            for _ in range(MOST_PAGES):
                page = await self._history.page(gap, cursor or "")
                if self._adapter.pages_back:
                    held = [*page.trades, *held]
                else:
                    self._pass_on(page, page.trades)
                cursor = page.cursor
                if cursor is None:
                    break
        finally:
            self._pass_on(Page(()), held)

    def _pass_on(self, page: Page, trades: Sequence[Trade]) -> int:
        for reject in page.rejects:
            self._ledger.rejected(reject.reason)
        now_ms = self._now_ms()
        return self._intake.fill([trade for trade in trades if trade.timestamp_ms <= now_ms - RIPE_MS], now_ms)

    def _tell_ledger(self) -> None:
        coverages = [self._intake.admission.book(symbol).coverage for symbol in self._adapter.pairs]
        self._ledger.gaps = sum(coverage.found for coverage in coverages if coverage)
        self._ledger.gaps_open = sum(len(coverage.holes) for coverage in coverages if coverage)

    # --- unnumbered ids

    async def _poll(self, symbol: str, rows: int) -> None:
        """Compare the newest trades of history with what came, often enough that none slips through between."""
        book = self._intake.admission.book(symbol)
        was_begun = book.newest is not None
        while book.newest is None:  # noqa: ASYNC110 - the book is pure and tells nobody
            await trio.sleep(LOOK_EVERY_S)
        tail = Tail(book.newest, self._ledger.breaks, is_whole=not was_begun)
        pause_s, failures = POLL_LEAST_S, 0
        while True:
            await trio.sleep(_pause_s(pause_s, failures))
            tail.is_whole = tail.is_whole and self._ledger.is_connected
            self._lose_dropped(symbol, book)
            try:
                page = await self._history.page(Gap(symbol, tail.mark))
                pause_s, failures = self._compare(symbol, tail, page, rows), 0
            except (NetError, PageError) as error:
                failures += 1
                self._unanswered(symbol, error)

    def _compare(self, symbol: str, tail: Tail, page: Page, rows: int) -> float:
        """Pass on what was missed and move the tail up; return when to look again, seconds from now."""
        now_ms = self._now_ms()
        missed = self._pass_on(page, page.trades)
        is_whole = tail.is_whole and tail.breaks == self._ledger.breaks and not missed
        if page.is_cut and not is_whole:
            pair = self._adapter.pairs[symbol]
            self._lose(pair, tail.mark.timestamp_ms, page.trades[0].timestamp_ms, LossReason.FORGOTTEN)
        elapsed_s = max(now_ms - tail.mark.timestamp_ms, RIPE_MS) / 1000
        tail.pace = max(len(page.trades) / elapsed_s, CALM * tail.pace)
        ripe = [trade for trade in page.trades if trade.timestamp_ms <= now_ms - RIPE_MS]
        if ripe:
            tail.mark = Mark(ripe[-1].trade_id, ripe[-1].timestamp_ms)
        tail.breaks, tail.is_whole = self._ledger.breaks, self._ledger.is_connected
        return min(max(POLL_SHARE * rows / max(tail.pace, 1.0), POLL_LEAST_S), POLL_MOST_S)

    def _lose_dropped(self, symbol: str, book: Book) -> None:
        if book.dropped is not None and not self._ledger.is_redis_away:
            since_ms, until_ms = book.dropped
            book.dropped = None
            self._lose(self._adapter.pairs[symbol], since_ms, until_ms, LossReason.DROPPED)

    def _unanswered(self, symbol: str, error: NetError | PageError) -> None:
        suppressed = self._throttle.passes(symbol, trio.current_time())
        if suppressed is not None:
            get_logger().warning("history_unavailable", symbol=symbol, error=str(error), suppressed=suppressed)


def _around(symbol: str, holes: Sequence[Hole]) -> tuple[Gap, Span]:
    """Return a gap that takes in the first hole and those near it, and its ids."""
    first = holes[0]
    near = [hole for hole in holes if 0 <= hole.span.last - first.span.first < CLUSTER] or [first]
    last = max(near, key=lambda hole: hole.span.last)
    before = Mark(str(last.span.last + 1), last.until_ms)
    return Gap(symbol, Mark(str(first.span.first - 1), first.since_ms), before), Span(first.span.first, last.span.last)


def _pause_s(usual_s: float, failures: int) -> float:
    """Return when to try again: as usual, or later the longer nothing works."""
    return usual_s if not failures else max(usual_s, min(RETRY_S * 2.0 ** min(failures - 1, 10), RETRY_CAP_S))
