"""One source pair: its stream goes in entry by entry, out come snapshots for history and verdicts for live prices.

    feed(entry) ─▶ Known ─┬▶ ripening ─▶ Panes   ─▶ Snapshot at each instant of the grid: window, parts of candles
                          └▶ Tape ─▶ live Window ─▶ Verdict at any moment

Snapshots are not judged here because a conversion may still be missing: the reference pair has a stream of its own.
The rule: what `feed` and `reach` do depends on the entries and their ids alone.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from priceverse.model.exchange import Quote
from priceverse.pricing.entry import Entry, EntryId
from priceverse.pricing.index import Rules, Verdict, judge
from priceverse.pricing.known import Known
from priceverse.pricing.panes import Panes, Part
from priceverse.pricing.schedule import SKEW_MS, Grid, Position
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
    """The window that ends at an instant of the grid, by venue, and what candles gain from `since` to `until`."""

    since: Position
    until: Position
    levels: Mapping[str, tuple[Level, ...]]
    parts: Sequence[Part] = ()

    @property
    def instant_ms(self) -> int:
        """The instant."""
        return self.until.instant_ms


class PairPricer:
    """Follows one stream from a position on: what is done there is read again only to be known.

    No instant closes before all of the stream is read that is done with. So the next position covers this one, also
    where another grid brought the pair here.
    """

    def __init__(self, market: Market, grid: Grid, position: Position) -> None:
        self.market = market
        self.grid = grid
        self.last_id: EntryId = (0, 0)
        self.reached_ms = 0
        self.closed: deque[Snapshot] = deque()
        self.refused: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self.late = 0
        self.fresh = False
        self.waiting_since_ms: int | None = None
        self._begun = self._done = position
        self._next_ms = grid.belongs_to(position.instant_ms)
        self._closes_ms = self._completion_ms(self._next_ms)
        self._floor_ms = grid.floor_ms(self._next_ms)
        self._known = Known()
        self._ripening: defaultdict[int, list[Tick]] = defaultdict(list)  # by the instant that adds them
        self._added: list[Tick] = []  # in the first window, and in candles before our time
        self._panes = Panes(grid)
        self._tape = Tape(self._next_ms - grid.window_ms)
        self._live = Window(self._tape, self._tape.floor_ms)
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
        identifier, exchange, trade_id, _, _, ms, received_ms = entry
        if identifier <= self.last_id:
            return
        self.last_id = identifier
        stream_ms = identifier[0]
        if stream_ms >= self._closes_ms:
            self.reach(stream_ms)
        if not self._floor_ms <= ms < stream_ms + SKEW_MS or exchange not in self.market.quotes:
            self.refused[self._refusal(ms, stream_ms)] += 1
        elif not self._known.add(exchange, trade_id, ms):
            self.refused["duplicate"] += 1
        elif ms >= self._tape.floor_ms or not self._is_done(ms, stream_ms):
            self._admit(Tick.of(entry), ms, stream_ms, received_ms)

    def reach(self, stream_ms: int) -> None:
        """Close the instants that are complete now that every entry with an id below `stream_ms` has been fed."""
        self.reached_ms = max(self.reached_ms, stream_ms)
        while self._closes_ms <= stream_ms:
            if self._is_silent():  # for long maybe: only the last of many empty instants
                self._next_ms = self.grid.first_after(stream_ms) - self.grid.interval_ms
            self._close(self._next_ms)
            self._next_ms += self.grid.interval_ms
            self._closes_ms = self._completion_ms(self._next_ms)

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

    def _completion_ms(self, instant_ms: int) -> int:
        return max(self.grid.closes_ms(instant_ms), self._begun.stream_ms)

    def _is_done(self, ms: int, stream_ms: int) -> bool:
        """Tell whether a trade was added to candles before our time."""
        return stream_ms < self._begun.stream_ms and ms < self._begun.instant_ms

    def _is_silent(self) -> bool:
        return self._tape.is_empty and self._panes.is_empty and not self._ripening

    def _refusal(self, ms: int, stream_ms: int) -> str:
        if ms < self._floor_ms:
            return "late"
        return "ahead" if ms >= stream_ms + SKEW_MS else "unknown_venue"

    def _admit(self, tick: Tick, ms: int, stream_ms: int, received_ms: int) -> None:
        is_recent = ms >= self._tape.floor_ms
        if ms >= self._next_ms:
            self._ripening[self.grid.belongs_to(ms)].append(tick)
        elif not self._is_done(ms, stream_ms):
            self._ripening[self._next_ms].append(tick)
            self.late += not is_recent
        elif is_recent:
            self._added.append(tick)
        if is_recent:
            self._tape.add(tick)
            if self._live.late(tick) or ms >= self._live.end_ms:
                self.fresh = True
                if self.waiting_since_ms is None or received_ms < self.waiting_since_ms:
                    self.waiting_since_ms = received_ms

    def _close(self, instant_ms: int) -> None:
        start_ms = instant_ms - self.grid.window_ms
        self._panes.add(self._added, start_ms)
        self._added.clear()
        parts = self._panes.add(self._ripening.pop(instant_ms, ()), start_ms)
        since, self._done = self._done, Position(self._completion_ms(instant_ms), instant_ms)
        self.closed.append(Snapshot(since, self._done, self._panes.levels(instant_ms), parts))
        self._panes.forget(start_ms + self.grid.interval_ms)
        self._floor_ms = self.grid.floor_ms(instant_ms + self.grid.interval_ms)
        self._known.forget(self._floor_ms)
        if self._live.start_ms < start_ms:  # nobody asks for live prices while the past is read again
            self._live.slide(start_ms, max(start_ms, self._live.end_ms))
        self._tape.forget(start_ms)

    def _venues(self, levels: Mapping[str, tuple[Level, ...]]) -> list[Venue]:
        return [venue(exchange, found, self.market.rules.max_deviation) for exchange, found in levels.items()]
