"""The index: from what each venue says over a window to one price, with a reason for everything left out.

    Venue ─ fresh? ─ convertible? ─ near the others? ─▶ admitted ─ weigh ─▶ Verdict ─▶ Price

The rule: a function of its arguments. What it must remember (which venues are out as outliers) comes in and goes out as
a value, and nothing is rounded before the price is rendered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce

from priceverse.model.decimals import EXACT, to_places
from priceverse.model.exchange import Quote
from priceverse.model.price import Excluded, Method, Source
from priceverse.pricing.venue import Venue
from priceverse.pricing.weights import Admitted, combine, dispersion_bps, median, shares

BPS_PLACES = Decimal("0.01")
NOTHING, ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a pair is priced; the meaning of each is that of the configuration key of its name."""

    method: Method = Method.VWAP
    min_sources: int = 1
    max_deviation: Decimal = Decimal("0.05")
    max_weight: Decimal = Decimal(1)
    max_source_age_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class Index:
    """A price that was come to: exact, not rounded. `volume` and `as_of_ms` are of the admitted venues."""

    price: Decimal
    volume: Decimal
    as_of_ms: int
    sources: tuple[str, ...]
    confidence_bps: Decimal
    degraded: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of every venue, and the index if enough were admitted. `outliers` is for the next verdict."""

    index: Index | None
    details: tuple[Source, ...]
    outliers: frozenset[str]


def judge(
    venues: Sequence[Venue],
    quotes: Mapping[str, Quote],
    conversion: Decimal | None,
    rules: Rules,
    *,
    at_ms: int,
    outliers: frozenset[str] = frozenset(),
) -> Verdict:
    """Price a pair at `at_ms` from its venues.

    `conversion` turns USDT into USD (None: unknown); `outliers` are the venues that the last verdict left out as such.
    """
    factors = {venue.exchange: ONE if quotes[venue.exchange] is Quote.USD else conversion for venue in venues}
    excluded = _unusable(venues, factors, at_ms - rules.max_source_age_ms)
    usable = {venue.exchange: venue for venue in venues if venue.exchange not in excluded}
    candidates = {exchange: _converted(venue, factors[exchange]) for exchange, venue in usable.items()}
    outliers = _outliers(candidates, rules.max_deviation, outliers)
    excluded |= {exchange: Excluded.OUTLIER for exchange in candidates if exchange in outliers}
    admitted = {exchange: price for exchange, price in candidates.items() if exchange not in outliers}
    weights = dict(zip(admitted, shares(list(admitted.values()), rules.method, rules.max_weight), strict=True))
    details = tuple(
        _source(venue, factors[venue.exchange], weights.get(venue.exchange), excluded.get(venue.exchange))
        for venue in venues
    )
    if len(admitted) < rules.min_sources:
        return Verdict(None, details, outliers)
    as_of_ms = max(usable[exchange].last_ms for exchange in admitted)
    degraded = any(factors[exchange] is None for exchange in admitted)
    return Verdict(_index(admitted, list(weights.values()), rules, as_of_ms, degraded=degraded), details, outliers)


def _unusable(venues: Sequence[Venue], factors: Mapping[str, Decimal | None], oldest_ms: int) -> dict[str, Excluded]:
    """Leave out what is stale and what cannot be converted, unless nothing that is fresh can be converted."""
    excluded = {venue.exchange: Excluded.STALE for venue in venues if venue.last_ms < oldest_ms}
    fresh = [venue.exchange for venue in venues if venue.exchange not in excluded]
    unconverted = {exchange: Excluded.NO_CONVERSION for exchange in fresh if factors[exchange] is None}
    return excluded | (unconverted if len(unconverted) < len(fresh) else {})


def _converted(venue: Venue, factor: Decimal | None) -> Admitted:
    value = EXACT.multiply(venue.value, ONE if factor is None else factor)
    return Admitted(EXACT.divide(value, venue.volume), value, venue.volume)


def _outliers(candidates: Mapping[str, Admitted], max_deviation: Decimal, before: frozenset[str]) -> frozenset[str]:
    """Leave out who is further than `max_deviation` from the median, until back below half of it."""
    if not candidates:
        return before
    middle = median([candidate.price for candidate in candidates.values()])
    limit = EXACT.multiply(middle, max_deviation)
    gaps = {exchange: abs(EXACT.subtract(candidate.price, middle)) for exchange, candidate in candidates.items()}
    far = {exchange for exchange, gap in gaps.items() if gap > limit}
    near = {exchange for exchange, gap in gaps.items() if 2 * gap < limit}
    return frozenset(far | (before - near))


def _index(
    admitted: Mapping[str, Admitted], weights: Sequence[Decimal], rules: Rules, as_of_ms: int, *, degraded: bool
) -> Index:
    venues = list(admitted.values())
    plain = list(weights) == shares(venues, rules.method, ONE)
    price = combine(venues, weights, rules.method, plain=plain)
    return Index(
        price=price,
        volume=reduce(EXACT.add, [venue.volume for venue in venues]),
        as_of_ms=as_of_ms,
        sources=tuple(sorted(admitted)),
        confidence_bps=dispersion_bps(venues, weights, price).quantize(BPS_PLACES, context=EXACT),
        degraded=degraded,
    )


def _source(venue: Venue, factor: Decimal | None, weight: Decimal | None, excluded: Excluded | None) -> Source:
    price = None if factor is None and excluded else _converted(venue, factor).price
    return Source(
        exchange=venue.exchange,
        vwap=to_places(venue.vwap),
        volume=venue.volume,
        trades=venue.trades,
        last_ms=venue.last_ms,
        conversion=factor,
        price=None if price is None else to_places(price),
        weight=NOTHING if weight is None else to_places(weight),
        excluded=excluded,
    )
