"""A price: what the index of a pair came to, of what it was made, and what was left out and why."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Method(StrEnum):
    """How venue prices become one: the database enum `aggregation_method`."""

    VWAP = "vwap"
    MEDIAN = "median"
    MEAN = "mean"


class Excluded(StrEnum):
    """Why a venue with trades in the window does not count."""

    OUTLIER = "outlier"
    STALE = "stale"
    NO_CONVERSION = "no_conversion"


@dataclass(frozen=True, slots=True)
class Source:
    """One venue's part in a price.

    `vwap` is in the venue's own quote currency, `price` in the pair's (vwap × conversion; None where there is no
    conversion). `weight` is its share of the index, 0 to 1, 0 when excluded. `last_ms` is its newest trade.
    """

    exchange: str
    vwap: Decimal
    volume: Decimal
    trades: int
    last_ms: int
    conversion: Decimal | None
    price: Decimal | None
    weight: Decimal
    excluded: Excluded | None


@dataclass(frozen=True, slots=True)
class Price:
    """The index of a pair over one window.

    `price` and `volume` are rounded to eight places. `as_of_ms` is the newest trade in it, `computed_ms` the moment
    of computing. The window is half-open: trades with `window_start_ms <= timestamp < window_end_ms`. `confidence_bps`
    is the dispersion of the admitted venues around the price, in basis points. `degraded` means that the only source
    could not be converted and its price was taken as it is. `rate` is set on pairs derived through a currency rate.
    """

    pair: str
    price: Decimal
    volume: Decimal
    method: Method
    sources: tuple[str, ...]
    as_of_ms: int
    computed_ms: int
    window_start_ms: int
    window_end_ms: int
    sequence: int
    confidence_bps: Decimal
    degraded: bool
    details: tuple[Source, ...]
    rate: Decimal | None = None
