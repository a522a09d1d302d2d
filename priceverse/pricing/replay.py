"""Recorded trades through the pricing core: the rows and candles that an aggregator would have stored. Pure.

    Recorded ─▶ Entry (an id as Redis would have given it) ─▶ pricers, reference ─▶ Settled, by instant

The rule: what comes out is a function of the recording, the markets and the rates. No clock, no batches, no owner.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from priceverse.model.pair import REFERENCE_PAIR
from priceverse.pricing.convert import Rates
from priceverse.pricing.desk import Desk, Seat, Settled
from priceverse.pricing.entry import Entry, EntryId
from priceverse.pricing.pricer import Market, PairPricer
from priceverse.pricing.reference import Reference
from priceverse.pricing.schedule import Grid, Pace


@dataclass(frozen=True, slots=True)
class Recorded:
    """A trade of a recording; `arrived_ms` is when it reached us, its own time where nobody noted that."""

    pair: str
    exchange: str
    trade_id: str
    price: Decimal
    volume: Decimal
    timestamp_ms: int
    arrived_ms: int


class Replay:
    """A desk that owns all of `markets` (source pair → how it is priced) and the pairs `derived` from each."""

    def __init__(
        self, markets: Mapping[str, Market], derived: Mapping[str, Sequence[str]], grid: Grid, rates: Rates
    ) -> None:
        self._markets = markets
        self._derived = derived
        self._grid = grid
        self._desk = Desk(Pace(), rates)
        self._last: dict[str, EntryId] = {}
        self._closes_ms = 0
        self.unknown = 0  # trades of pairs without a market

    def run(self, trades: Iterable[Recorded]) -> Iterator[Settled]:
        """Yield what is final, by instant and pair, of trades that arrive in the order given."""
        for trade in trades:
            if trade.pair not in self._markets:
                self.unknown += 1
                continue
            if not self._desk.seats:
                self._open(trade.arrived_ms)
            entry = self._entry(trade)
            if entry.id[0] >= self._closes_ms:
                yield from self._reach(entry.id[0])
            self._feed(trade.pair, entry)
        if self._desk.seats:
            yield from self._reach(self._closes_ms + 2 * self._grid.interval_ms)

    def _open(self, first_ms: int) -> None:
        position = self._grid.position_at(first_ms - 1)
        next_ms = self._grid.belongs_to(position.instant_ms)
        self._closes_ms = self._grid.closes_ms(next_ms)
        if REFERENCE_PAIR in self._markets:
            self._desk.reference = Reference(self._markets[REFERENCE_PAIR], self._grid, next_ms)
        for pair in sorted(self._markets):
            pricer = PairPricer(self._markets[pair], self._grid, position)
            self._desk.seats[pair] = Seat(pricer, tuple(self._derived.get(pair, ())))

    def _entry(self, trade: Recorded) -> Entry:
        """Return the trade with the next id of its stream: ids rise, whatever the clocks of the recording did."""
        ms, number = self._last.get(trade.pair, (0, -1))
        newest_ms = max(trade.arrived_ms, *(known_ms for known_ms, _ in self._last.values()), 0)
        entry_id = (newest_ms, number + 1) if newest_ms == ms else (newest_ms, 0)
        self._last[trade.pair] = entry_id
        return Entry(
            entry_id,
            trade.exchange,
            trade.trade_id,
            trade.price,
            trade.volume,
            trade.timestamp_ms,
            trade.arrived_ms,
        )

    def _feed(self, pair: str, entry: Entry) -> None:
        self._desk.seats[pair].pricer.feed(entry)
        if pair == REFERENCE_PAIR and self._desk.reference is not None:
            self._desk.reference.pricer.feed(entry)

    def _reach(self, stream_ms: int) -> Iterator[Settled]:
        """Let every stream be complete up to `stream_ms`, and yield what is final by that."""
        if self._desk.reference is not None:
            self._desk.reference.pricer.reach(stream_ms)
        for seat in self._desk.seats.values():
            seat.pricer.reach(stream_ms)
        self._closes_ms = self._grid.closes_ms(self._grid.first_after(stream_ms))
        yield from sorted(self._desk.settle(), key=lambda done: (done.instant_ms, done.pair))
