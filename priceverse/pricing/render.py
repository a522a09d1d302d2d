"""From an exact index to what is stored and served: eight places, half-even, rounded once and here only."""

from dataclasses import dataclass
from decimal import Decimal

from priceverse.model.decimals import EXACT, STORABLE, is_storable, to_places
from priceverse.model.explanation import Reasons
from priceverse.model.price import Method, Price
from priceverse.model.rate import Rate
from priceverse.pricing.index import Index, Verdict

RATE_SOURCE = "cbr"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `price_history`: the index of the window that ends at `timestamp_ms`, and what it was made of."""

    pair: str
    price: Decimal
    timestamp_ms: int
    method: Method
    sources: tuple[str, ...]
    volume: Decimal
    reasons: Reasons


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on the window of an instant; it has an index."""

    source_pair: str
    window_start_ms: int
    instant_ms: int
    method: Method
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Moment:
    """When and over what a live price was computed."""

    computed_ms: int
    window_start_ms: int
    window_end_ms: int
    sequence: int


def row(outcome: Outcome, pair: str, rate: Rate | None = None) -> Row | None:
    """Return the row of the source pair or of one derived from it; None if the schema has no room for its numbers."""
    index = outcome.verdict.index
    assert index is not None
    price, volume = _price(index, rate), to_places(index.volume)
    if not (is_storable(price) and volume < STORABLE):
        return None
    reasons = Reasons(
        source_pair=outcome.source_pair,
        window_start_ms=outcome.window_start_ms,
        window_end_ms=outcome.instant_ms,
        as_of_ms=index.as_of_ms,
        confidence_bps=index.confidence_bps,
        degraded=index.degraded,
        details=outcome.verdict.details,
        rate=rate.usd_rub if rate else None,
        rate_date=rate.date if rate else None,
    )
    return Row(pair, price, outcome.instant_ms, outcome.method, _sources(index, rate), volume, reasons)


def price(pair: str, moment: Moment, verdict: Verdict, method: Method, rate: Rate | None = None) -> Price:
    """Return the live price of a pair, or of a pair derived from it through `rate`. The verdict has an index."""
    index = verdict.index
    assert index is not None
    return Price(
        pair=pair,
        price=_price(index, rate),
        volume=to_places(index.volume),
        method=method,
        sources=_sources(index, rate),
        as_of_ms=index.as_of_ms,
        computed_ms=moment.computed_ms,
        window_start_ms=moment.window_start_ms,
        window_end_ms=moment.window_end_ms,
        sequence=moment.sequence,
        confidence_bps=index.confidence_bps,
        degraded=index.degraded,
        details=verdict.details,
        rate=rate.usd_rub if rate else None,
    )


def _price(index: Index, rate: Rate | None) -> Decimal:
    return to_places(EXACT.multiply(index.price, rate.usd_rub) if rate else index.price)


def _sources(index: Index, rate: Rate | None) -> tuple[str, ...]:
    return tuple(sorted((*index.sources, RATE_SOURCE))) if rate else index.sources
