"""An explanation: everything that a stored price was made of, so that any past row can be computed again by hand."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from priceverse.model.price import Method, Source


@dataclass(frozen=True, slots=True)
class Reasons:
    """What is stored with a row: the window, the venues in it, how far they agreed, and the rate if there is one.

    `details` are those of the pair `source_pair`, in USD; `rate` and the day from which it is in force turn its price
    into that of a derived pair.
    """

    source_pair: str
    window_start_ms: int
    window_end_ms: int
    as_of_ms: int
    confidence_bps: Decimal
    degraded: bool
    details: tuple[Source, ...]
    rate: Decimal | None = None
    rate_date: date | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A stored row and its reasons; None for a row that was written before reasons were."""

    pair: str
    at_ms: int
    price: Decimal
    volume: Decimal
    method: Method
    sources: tuple[str, ...]
    reasons: Reasons | None
