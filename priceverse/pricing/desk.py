"""All pairs of one aggregator: which live prices are due, which rows of history are final.

    PairPricer ─┬▶ settle() ─▶ Settled  (rows, and the position to which they bring the pair)
    Reference ──┴▶ due(now) ─▶ Due      (live prices of a source pair and of those derived from it)

The rule: derived pairs never hold up or spoil their source; without a rate they have no price, and the reason is kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from priceverse.model.price import Price
from priceverse.model.rate import Rate
from priceverse.pricing.convert import RateFault, Rates
from priceverse.pricing.index import Index, Verdict
from priceverse.pricing.pricer import PairPricer
from priceverse.pricing.reference import Reference
from priceverse.pricing.render import Moment, Row, price, row
from priceverse.pricing.schedule import Pace


@dataclass(frozen=True, slots=True)
class Settled:
    """An instant of a pair that is final: its rows (none without a price), and the stream time it was complete at.

    Once the rows are stored, entries with ids below `position_ms` are done with.
    """

    pair: str
    instant_ms: int
    position_ms: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """Live prices of one source pair and its derived ones, to be published together.

    `waiting_since_ms`: when we received the oldest trade that nobody has seen the effect of yet; None on a heartbeat.
    """

    pair: str
    prices: tuple[Price, ...]
    waiting_since_ms: int | None


@dataclass(slots=True)
class Seat:
    """One owned pair: its pricer, the pairs derived from it, and the last live prices."""

    pricer: PairPricer
    derived: tuple[str, ...] = ()
    restored: tuple[Price, ...] = ()  # from before our time, repeated until there is a price of our own
    judged: Verdict | None = None  # the last verdict
    priced: tuple[Verdict, Moment] | None = None  # the last one with an index
    published_ms: int | None = None
    rate_fault: RateFault | None = None


class Desk:
    """The owned pairs by name, the reference if one of them needs it, and the rate as far as it is known."""

    def __init__(self, pace: Pace, rates: Rates) -> None:
        self.pace = pace
        self.rates = rates
        self.seats: dict[str, Seat] = {}
        self.reference: Reference | None = None

    def settle(self) -> list[Settled]:
        """Return the instants that have become final, in order for each pair."""
        if self.reference is not None:
            self.reference.settle()
        settled = [done for seat in self.seats.values() for done in self._settle(seat)]
        if self.reference is not None and self.seats:
            self.reference.forget(min(seat.pricer.oldest_open_ms for seat in self.seats.values()))
        return settled

    def due(self, now_ms: int) -> list[Due]:
        """Return what to publish now: new prices of pairs with new trades, the last ones again as a heartbeat."""
        seats = [
            seat for seat in self.seats.values() if self.pace.is_due(now_ms, seat.published_ms, fresh=seat.pricer.fresh)
        ]
        return [due for seat in seats if (due := self._due(seat, now_ms)).prices]

    def next_due_ms(self) -> int | None:
        """Return when something is due next, if no trade comes before; None without pairs."""
        seats = self.seats.values()
        return min((self.pace.due_ms(seat.published_ms, fresh=seat.pricer.fresh) for seat in seats), default=None)

    def unpublished(self, due: Iterable[Due]) -> None:
        """Let prices that could not be published be due again at once."""
        for each in due:
            if each.pair in self.seats:
                self.seats[each.pair].published_ms = None

    def _settle(self, seat: Seat) -> Iterator[Settled]:
        pricer = seat.pricer
        while pricer.closed and self._is_final(pricer, pricer.closed[0].instant_ms):
            snapshot = pricer.closed.popleft()
            conversion = self.reference.at(snapshot.instant_ms) if self.reference else None
            index = pricer.verdict_at(snapshot, conversion).index
            rows = self._rows(seat, snapshot.instant_ms, index) if index else ()
            yield Settled(pricer.pair, snapshot.instant_ms, pricer.grid.closes_ms(snapshot.instant_ms), rows)

    def _is_final(self, pricer: PairPricer, instant_ms: int) -> bool:
        return not (self.reference and pricer.market.needs_conversion) or self.reference.is_settled(instant_ms)

    def _rows(self, seat: Seat, instant_ms: int, index: Index) -> tuple[Row, ...]:
        method = seat.pricer.market.rules.method
        rate = self._rate(seat, instant_ms)
        derived = [row(pair, instant_ms, index, method, rate) for pair in seat.derived if rate]
        return (row(seat.pricer.pair, instant_ms, index, method), *derived)

    def _due(self, seat: Seat, now_ms: int) -> Due:
        waiting_since_ms = self._judge(seat, now_ms) if seat.pricer.fresh else None
        seat.published_ms = now_ms
        return Due(seat.pricer.pair, self._prices(seat, now_ms), waiting_since_ms)

    def _judge(self, seat: Seat, now_ms: int) -> int | None:
        """Judge the live window; return since when its oldest new trade has been waiting."""
        pricer = seat.pricer
        waiting_since_ms, pricer.waiting_since_ms = pricer.waiting_since_ms, None
        needed = self.reference is not None and pricer.market.needs_conversion
        seat.judged = pricer.verdict(now_ms, self.reference.now(now_ms) if self.reference and needed else None)
        if seat.judged.index is not None:
            before = max([price.sequence for price in seat.restored], default=0)
            sequence = max(now_ms, 1 + (seat.priced[1].sequence if seat.priced else before))
            seat.priced = seat.judged, Moment(now_ms, *pricer.window, sequence)
        return waiting_since_ms

    def _prices(self, seat: Seat, now_ms: int) -> tuple[Price, ...]:
        rate = self._rate(seat, now_ms)
        if seat.priced is None:
            return tuple(price for price in seat.restored if rate or price.rate is None)
        verdict, moment = seat.priced
        method = seat.pricer.market.rules.method
        derived = [price(pair, moment, verdict, method, rate) for pair in seat.derived if rate]
        return (price(seat.pricer.pair, moment, verdict, method), *derived)

    def _rate(self, seat: Seat, at_ms: int) -> Rate | None:
        """Return the rate in force for the derived pairs, and note on the seat why there is none."""
        if not seat.derived:
            return None
        found = self.rates.in_force(at_ms)
        seat.rate_fault = found if isinstance(found, RateFault) else None
        return found if isinstance(found, Rate) else None
