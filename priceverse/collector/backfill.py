"""Missing trades fetched over REST, where a venue numbers its trades: what the connection did not bring is a hole.

    a hole in the ids ─▶ a moment's patience ─▶ pages of history ─▶ intake; after a break also the tail

The rule: what history has is passed on in order, once, however late; what it does not have is a loss with its time
range. A row of the price history counts what reached the stream before the row closed; later trades are in the stream
all the same.
"""

from collections.abc import Callable, Sequence

import trio

from priceverse import clock
from priceverse.collector.coverage import Coverage, Hole, Span
from priceverse.collector.history import History, pause_s
from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from priceverse.exchanges.protocol import Adapter, Gap, Mark, PageError
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
MOST_MISSING = 50_000
"""A larger hole is hours of a busy market: its price history is long closed."""
CLUSTER = 1000
"""Holes within so many ids are filled by the same pages."""

Lose = Callable[[str, int, int, LossReason], None]


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

    async def run(self) -> None:
        """Look after every symbol until cancelled."""
        async with trio.open_nursery() as nursery:
            for symbol in self._adapter.pairs:
                nursery.start_soon(self._tend, symbol)

    async def _tend(self, symbol: str) -> None:
        """Close the holes of a symbol as they open, and catch up after each break of the connection."""
        coverage = self._intake.admission.book(symbol).coverage
        assert coverage is not None
        caught_up, failures = -1 if coverage.is_begun else self._ledger.breaks, 0
        while True:
            await trio.sleep(pause_s(LOOK_EVERY_S, failures))
            self._tell_ledger()
            if self._ledger.is_redis_away:
                continue
            self._lose_hopeless(symbol, coverage)
            try:
                caught_up = await self._catch_up(symbol, coverage, caught_up)
                await self._close_holes(symbol, coverage)
                failures = 0
            except (NetError, PageError) as error:
                failures += 1
                self._history.unanswered(symbol, error)

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
        due = [hole for hole in coverage.holes if not 0 <= now_ms - hole.found_ms < PATIENCE_MS << hole.asked]
        if due:
            gap, asked = _around(symbol, due)
            await self._read(gap)
            coverage.asked(asked)

    def _lose_hopeless(self, symbol: str, coverage: Coverage) -> None:
        now_ms = self._now_ms()
        for hole in coverage.holes[:]:
            if hole.span.size > MOST_MISSING:
                reason = LossReason.TOO_MANY
            elif hole.asked >= ASKS:
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
                    self._pass_on(page.trades)
                cursor = page.cursor
                if cursor is None:
                    break
        finally:
            self._pass_on(held)

    def _pass_on(self, trades: Sequence[Trade]) -> None:
        now_ms = self._now_ms()
        self._intake.fill([trade for trade in trades if trade.timestamp_ms <= now_ms - RIPE_MS], now_ms)

    def _tell_ledger(self) -> None:
        coverages = [self._intake.admission.book(symbol).coverage for symbol in self._adapter.pairs]
        self._ledger.gaps = sum(coverage.found for coverage in coverages if coverage)
        self._ledger.gaps_open = sum(len(coverage.holes) for coverage in coverages if coverage)


def _around(symbol: str, holes: Sequence[Hole]) -> tuple[Gap, Span]:
    """Return a gap that takes in the first hole and those near it, and its ids."""
    first = holes[0]
    near = [hole for hole in holes if 0 <= hole.span.last - first.span.first < CLUSTER] or [first]
    last = max(near, key=lambda hole: hole.span.last)
    before = Mark(str(last.span.last + 1), last.until_ms)
    return Gap(symbol, Mark(str(first.span.first - 1), first.since_ms), before), Span(first.span.first, last.span.last)
