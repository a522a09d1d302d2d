"""One source pair: its stream goes in entry by entry, out come snapshots for history and verdicts for live prices.

    feed(entry) ─▶ Tape ─┬▶ history window ─▶ Snapshot at each instant of the grid (own currency, nothing judged yet)
                         └▶ live window    ─▶ Verdict at any moment

Snapshots are not judged here because a conversion may still be missing: the reference pair has a stream of its own.
The rule: what `feed` and `reach` do depends on the entries and their ids alone.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from priceverse.model.exchange import Quote
from priceverse.pricing.entry import Entry, EntryId
from priceverse.pricing.index import Rules, Verdict, judge
from priceverse.pricing.schedule import SKEW_MS, Grid
from priceverse.pricing.venue import Level, Venue, venue
from priceverse.pricing.window import Tape, Tick, Window


@dataclass(frozen=True, slots=True)
class Market:
    """What a pair is priced by: the venues that trade it with their quote currencies, and its rules."""

    pair: str
    quotes: Mapping[str, Quote]
    rules: Rules

    @property
    def needs_conversion(self) -> bool:
        """Tell whether any venue quotes it in USDT."""
        return Quote.USDT in self.quotes.values()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The window that ends at an instant of the grid, by venue."""

    instant_ms: int
    levels: Mapping[str, tuple[Level, ...]]


class PairPricer:
    """Follows one stream from `position_ms` (stream time) on: earlier instants of the grid are done already."""

    def __init__(self, market: Market, grid: Grid, position_ms: int) -> None:
        self.market = market
        self.grid = grid
        self.last_id: EntryId = (0, 0)
        self.reached_ms = 0
        self.closed: deque[Snapshot] = deque()
        self.refused: Counter[str] = Counter()
        self.fresh = False
        self.waiting_since_ms: int | None = None
        self._next_ms = grid.first_after(position_ms)
        self._closes_ms = grid.closes_ms(self._next_ms)
        start_ms = self._next_ms - grid.window_ms
        self._tape = Tape(start_ms)
        self._history = Window(self._tape, start_ms)
        self._live = Window(self._tape, start_ms)
        self._outliers: frozenset[str] = frozenset()

    @property
    def pair(self) -> str:
        """The pair's name."""
        return self.market.pair

    @property
    def oldest_open_ms(self) -> int:
        """The first instant that has not been judged yet."""
        return self.closed[0].instant_ms if self.closed else self._next_ms

    @property
    def window(self) -> tuple[int, int]:
        """The edges of the live window: start, end."""
        return self._live.start_ms, self._live.end_ms

    @property
    def window_trades(self) -> int:
        """The number of trades in the live window."""
        return self._live.trades

    def feed(self, entry: Entry) -> None:
        """Take the next entry of the stream; one that was taken before is skipped."""
        if entry.id <= self.last_id:
            return
        self.last_id = entry.id
        stream_ms = entry.id[0]
        if stream_ms >= self._closes_ms:
            self.reach(stream_ms)
        if refusal := self._refusal(entry, stream_ms):
            self.refused[refusal] += 1
            return
        tick = Tick.of(entry)
        self._tape.add(tick)
        self._history.late(tick)
        if self._live.late(tick) or tick.ms >= self._live.end_ms:
            self.fresh = True
            if self.waiting_since_ms is None or entry.received_ms < self.waiting_since_ms:
                self.waiting_since_ms = entry.received_ms

    def reach(self, stream_ms: int) -> None:
        """Close the instants that are complete now that every entry with an id below `stream_ms` has been fed."""
        self.reached_ms = max(self.reached_ms, stream_ms)
        while self._closes_ms <= stream_ms:
            if not len(self._tape):  # after a long silence: only the last of many empty instants
                self._next_ms = self.grid.first_after(stream_ms) - self.grid.interval_ms
            self._close(self._next_ms)
            self._next_ms += self.grid.interval_ms
            self._closes_ms = self.grid.closes_ms(self._next_ms)

    def verdict_at(self, snapshot: Snapshot, conversion: Decimal | None) -> Verdict:
        """Judge a snapshot. Without memory of earlier ones: a row of history is a function of its window."""
        venues = self._venues(snapshot.levels)
        return judge(venues, self.market.quotes, conversion, self.market.rules, at_ms=snapshot.instant_ms)

    def verdict(self, now_ms: int, conversion: Decimal | None) -> Verdict:
        """Slide the live window to `now_ms` and judge it; trades of clocks ahead of ours are inside."""
        self._live.slide(now_ms - self.grid.window_ms, max(now_ms, self._tape.newest_ms + 1))
        venues = self._venues(self._live.levels())
        market, outliers = self.market, self._outliers
        found = judge(venues, market.quotes, conversion, market.rules, at_ms=now_ms, outliers=outliers)
        self._outliers = found.outliers
        self.fresh = False
        return found

    def _refusal(self, entry: Entry, stream_ms: int) -> str | None:
        if entry.timestamp_ms < self._tape.floor_ms:
            return "late"
        if entry.timestamp_ms >= stream_ms + SKEW_MS:
            return "ahead"
        if entry.exchange not in self.market.quotes:
            return "unknown_venue"
        return "duplicate" if self._tape.is_known(entry.exchange, entry.trade_id) else None

    def _close(self, instant_ms: int) -> None:
        start_ms = instant_ms - self.grid.window_ms
        self._history.slide(start_ms, instant_ms)
        self.closed.append(Snapshot(instant_ms, self._history.levels()))
        if self._live.start_ms < start_ms:  # nobody asks for live prices while the past is read again
            self._live.slide(start_ms, max(start_ms, self._live.end_ms))
        self._tape.forget(start_ms)

    def _venues(self, levels: Mapping[str, tuple[Level, ...]]) -> list[Venue]:
        return [venue(exchange, found, self.market.rules.max_deviation) for exchange, found in levels.items()]
