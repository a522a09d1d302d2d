"""All pairs of one aggregator: which live prices are due, which rows of history are final.

    PairPricer ─┬▶ settle() ─▶ Settled  (rows, parts of candles, and the position to which they bring the pair)
    Reference ──┴▶ due(now) ─▶ Due      (live prices of a source pair and of those derived from it)

The rule: derived pairs never hold up or spoil their source; without a rate they have no price, and the reason is kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from priceverse.model.candle import Candle
from priceverse.model.price import Price
from priceverse.model.rate import Rate
from priceverse.pricing import candles
from priceverse.pricing.convert import RateFault, Rates
from priceverse.pricing.index import Verdict
from priceverse.pricing.pricer import PairPricer, Snapshot
from priceverse.pricing.reference import Reference
from priceverse.pricing.render import Moment, Outcome, Row, price, row
from priceverse.pricing.schedule import Pace, Position


@dataclass(frozen=True, slots=True)
class Settled:
    """An instant of a pair that is final: its rows (none without a price), and what it adds to the buckets of candles.

    It brings the pair from `since` to `until`. `epoch` is the fencing number of the owner who computed it.
    """

    pair: str
    since: Position
    until: Position
    rows: tuple[Row, ...]
    candles: tuple[Candle, ...] = ()
    epoch: int = 0

    @property
    def instant_ms(self) -> int:
        """The instant."""
        return self.until.instant_ms


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
    """One owned pair: its pricer, the pairs derived from it, its owner's fencing number, and the last live prices."""

    pricer: PairPricer
    derived: tuple[str, ...] = ()
    epoch: int = 0
    restored: tuple[Price, ...] = ()  # from before our time, repeated until there is a price of our own
    judged: Verdict | None = None  # the last verdict
    judged_ms: int | None = None
    priced: tuple[Verdict, Moment] | None = None  # the last one with an index
    published_ms: int | None = None
    rate_fault: RateFault | None = None

    @property
    def since_ms(self) -> int | None:
        """From when the pace counts, None for at once: what is new waits for what was new, not for a repetition."""
        is_new = self.pricer.fresh and self.published_ms is not None
        return self.judged_ms if is_new else self.published_ms


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
            seat for seat in self.seats.values() if self.pace.is_due(now_ms, seat.since_ms, fresh=seat.pricer.fresh)
        ]
        return [due for seat in seats if (due := self._due(seat, now_ms)).prices]

    def next_due_ms(self) -> int | None:
        """Return when something is due next, if no trade comes before; None without pairs."""
        seats = self.seats.values()
        return min((self.pace.due_ms(seat.since_ms, fresh=seat.pricer.fresh) for seat in seats), default=None)

    def unpublished(self, due: Iterable[Due]) -> None:
        """Let prices that could not be published be due again at once."""
        for each in due:
            if each.pair in self.seats:
                self.seats[each.pair].published_ms = None

    def _settle(self, seat: Seat) -> Iterator[Settled]:
        pricer = seat.pricer
        while pricer.closed and self._is_final(pricer, pricer.closed[0].instant_ms):
            snapshot = pricer.closed.popleft()
            verdict = pricer.verdict_at(snapshot, self._conversion(snapshot.instant_ms))
            rows = self._rows(seat, snapshot.instant_ms, verdict) if verdict.index else ()
            found = self._candles(seat, snapshot, verdict) if snapshot.parts else ()
            yield Settled(pricer.pair, snapshot.since, snapshot.until, rows, found, seat.epoch)

    def _conversion(self, instant_ms: int) -> Decimal | None:
        return self.reference.at(instant_ms) if self.reference else None

    def _is_final(self, pricer: PairPricer, instant_ms: int) -> bool:
        return not (self.reference and pricer.market.needs_conversion) or self.reference.is_settled(instant_ms)

    def _rows(self, seat: Seat, instant_ms: int, verdict: Verdict) -> tuple[Row, ...]:
        pricer = seat.pricer
        start_ms = instant_ms - pricer.grid.window_ms
        outcome = Outcome(pricer.pair, start_ms, instant_ms, pricer.market.rules.method, verdict)
        rate = self._rate(seat, instant_ms)
        derived = [row(outcome, pair, rate) for pair in seat.derived if rate]
        return tuple(found for found in (row(outcome, pricer.pair), *derived) if found)

    def _candles(self, seat: Seat, snapshot: Snapshot, verdict: Verdict) -> tuple[Candle, ...]:
        pricer = seat.pricer
        grid, market = pricer.grid, pricer.market
        start_ms = snapshot.instant_ms - grid.window_ms
        judgement = candles.Judgement(verdict, snapshot.levels, start_ms, market.rules)
        entering, left = candles.value(snapshot.parts, market.quotes, self._conversion, judgement, grid)
        rendered = [candles.render(pricer.pair, entering)]
        rendered += [candles.render(pair, entering, self._official) for pair in seat.derived]
        pricer.left.update(sum((unfit for _, unfit in rendered), left))
        return tuple(candle for found, _ in rendered for candle in found)

    def _official(self, at_ms: int) -> Decimal | None:
        found = self.rates.in_force(at_ms)
        return None if isinstance(found, RateFault) else found.usd_rub

    def _due(self, seat: Seat, now_ms: int) -> Due:
        waiting_since_ms = self._judge(seat, now_ms) if seat.pricer.fresh else None
        seat.published_ms = now_ms
        return Due(seat.pricer.pair, self._prices(seat, now_ms), waiting_since_ms)

    def _judge(self, seat: Seat, now_ms: int) -> int | None:
        """Judge the live window; return since when its oldest new trade has been waiting."""
        pricer = seat.pricer
        waiting_since_ms, pricer.waiting_since_ms = pricer.waiting_since_ms, None
        needed = self.reference is not None and pricer.market.needs_conversion
        seat.judged_ms = now_ms
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
