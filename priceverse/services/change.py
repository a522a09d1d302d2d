"""PricesService.getPriceChange: what a pair has gained or lost between two instants."""

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial

import msgspec

from priceverse.model.decimals import EXACT
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.limits import Limit
from priceverse.rpc.method import Params, Reply, method
from priceverse.rpc.ports import Point, Ports, Topic
from priceverse.services import quotes
from priceverse.services.prices import SERVICE
from priceverse.services.spans import Instant, Period, Span, of_period, refusal

LONGEST_MS = 3660 * 86_400_000
LEAST_TOLERANCE_MS = 600_000
MOST_TOLERANCE_MS = 86_400_000
CENTI = Decimal("0.01")


class GetPriceChange(Params, frozen=True, kw_only=True):
    """Which pair, over which period; `custom` is the time between `from` and `to`, which is now by default."""

    pair: str
    period: Period
    since: Instant | None = msgspec.field(default=None, name="from")
    until: Instant | None = msgspec.field(default=None, name="to")


class PriceChangeReply(Reply, frozen=True, kw_only=True):
    """Two prices and the instants (ms) at which they were: the nearest at or before the instants asked for."""

    pair: str
    start_date: int
    end_date: int
    start_price: Decimal
    end_price: Decimal
    change_percent: Decimal


@method(SERVICE, "getPriceChange", cache_s=30, limit=Limit(30))
async def get_price_change(params: GetPriceChange, ports: Ports) -> PriceChangeReply:
    """Return by how many percent a price has changed over a period."""
    quotes.check_pair(params.pair, ports)
    span = of_period(params.period, params.since, params.until, ports.now_ms())
    if span.length_ms > LONGEST_MS:
        raise refusal("More than ten years", span)
    key = (params.pair, params.period.value, _written(params.since), _written(params.until))
    make = partial(_change, params.pair, span, params.until is None, ports)
    return await ports.replies.get(Topic.CHANGE, key, PriceChangeReply, make)


def change_percent(start: Decimal, end: Decimal) -> Decimal:
    """Return the change in percent, to two places; `start` is above 0."""
    ratio = EXACT.divide(EXACT.subtract(end, start), start)
    return EXACT.multiply(ratio, Decimal(100)).quantize(CENTI, ROUND_HALF_EVEN)


def tolerance_ms(span: Span) -> int:
    """Return how much older than asked for a price may be: a twentieth of the span, ten minutes to a day."""
    return min(max(span.length_ms // 20, LEAST_TOLERANCE_MS), MOST_TOLERANCE_MS)


async def _change(pair: str, span: Span, until_now: bool, ports: Ports) -> PriceChangeReply:
    tolerance = tolerance_ms(span)
    start = await ports.history.price_at(pair, span.from_ms, tolerance)
    end = await _now(pair, ports) if until_now else None
    if end is None:
        end = await ports.history.price_at(pair, span.to_ms, min(tolerance, span.length_ms))
    if start is None or end is None or start.price <= 0:
        at = "beginning" if start is None else "end"
        raise CallError(Code.CHART_DATA_NOT_FOUND, f"No price of {pair} near the {at} of the range", {"pair": pair})
    return PriceChangeReply(
        pair=pair,
        start_date=start.at_ms,
        end_date=end.at_ms,
        start_price=start.price,
        end_price=end.price,
        change_percent=change_percent(start.price, end.price),
    )


async def _now(pair: str, ports: Ports) -> Point | None:
    """Return the price of now; None if none can be served as such."""
    try:
        quote = await quotes.current(pair, ports)
    except CallError:
        return None
    return Point(quote.price, quote.as_of_ms)


def _written(at: datetime | None) -> str:
    return "null" if at is None else at.isoformat()
