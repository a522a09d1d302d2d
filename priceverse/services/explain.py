"""PricesService.explainPrice: of what a price was made, now or in the past; what was left out, and why."""

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from priceverse.clock import iso_ms
from priceverse.model.explanation import Explanation
from priceverse.model.price import Excluded, Method, Price, Source
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.limits import Limit
from priceverse.rpc.method import Params, Reply, method
from priceverse.rpc.ports import Ports
from priceverse.services import quotes
from priceverse.services.prices import CENTI, SERVICE
from priceverse.services.spans import Instant, instant

TOLERANCE_MS = 600_000
"""A row that is older than this before the instant asked for does not explain it."""


class ExplainPrice(Params, frozen=True, kw_only=True):
    """Which pair, and when: now by default."""

    pair: str
    at: Instant | None = None


class SourceReply(Reply, frozen=True, kw_only=True):
    """One exchange's part. `vwap` is in its own quote currency, `price` converted; `weight` is its share, 0 to 1.

    `lastTrade` is its newest trade, `ageMs` how old that was when the price was made. `excluded` says why an exchange
    does not count.
    """

    exchange: str
    vwap: Decimal
    volume: Decimal
    trades: int
    last_trade: str
    age_ms: int
    conversion: Decimal | None
    price: Decimal | None
    weight: Decimal
    excluded: Excluded | None = None


class RateReply(Reply, frozen=True, kw_only=True):
    """The currency rate that was used, and the day it is of."""

    value: Decimal
    date: str | None = None


class ExplainReply(Reply, frozen=True, kw_only=True):
    """A price and its reasons. `timestamp` is the instant it is of, ms; the window is where its trades are from.

    The sources' prices of a pair that is made through a currency rate are in USD: `rate` turns them into the pair's. Of
    a row that was stored without its reasons only the price is known, and `sources` is empty.
    """

    pair: str
    price: Decimal
    price_exact: str
    timestamp: int
    as_of: str
    method: Method
    volume: Decimal
    live: bool
    sources: tuple[SourceReply, ...]
    window_start: str | None = None
    window_end: str | None = None
    confidence: Decimal | None = None
    degraded: bool = False
    rate: RateReply | None = None


@method(SERVICE, "explainPrice", cache_s=5, limit=Limit(30))
async def explain_price(params: ExplainPrice, ports: Ports) -> ExplainReply:
    """Return every exchange's part in a price, the reason of each that does not count, and the rate used."""
    quotes.check_pair(params.pair, ports)
    if params.at is None:
        return await _now(params.pair, ports)
    at_ms = instant(params.at, ports.now_ms())
    found = await ports.history.explain(params.pair, at_ms)
    if found is None or found.at_ms < at_ms - TOLERANCE_MS:
        details = {"pair": params.pair, "at": iso_ms(at_ms)}
        raise CallError(Code.CHART_DATA_NOT_FOUND, f"No price of {params.pair} near that instant", details)
    return of_past(found)


async def _now(pair: str, ports: Ports) -> ExplainReply:
    """Explain the live price; without one in this process, the row of history that would be served instead."""
    quote = await quotes.current(pair, ports)
    live = ports.live.get(pair)
    if live is not None and live.as_of_ms == quote.as_of_ms:
        return of_live(live, await _rate_date(live, ports))
    found = await ports.history.explain(pair, quote.as_of_ms)
    if found is None:
        raise CallError(Code.PRICE_UNAVAILABLE, f"Price not available for pair: {pair}", {"pair": pair})
    return of_past(found)


async def _rate_date(price: Price, ports: Ports) -> date | None:
    """Return the day of the rate in a price, if that is the one in force and can be read."""
    if price.rate is None:
        return None
    try:
        known = await ports.shared.rates()
    except CallError:
        return None
    return next((rate.date for rate in reversed(known) if rate.usd_rub == price.rate), None)


def of_live(price: Price, rate_date: date | None) -> ExplainReply:
    """Return the reasons that travel with a live price."""
    return ExplainReply(
        pair=price.pair,
        price=price.price,
        price_exact=f"{price.price:f}",
        timestamp=price.as_of_ms,
        as_of=iso_ms(price.as_of_ms),
        method=price.method,
        volume=price.volume,
        live=True,
        window_start=iso_ms(price.window_start_ms),
        window_end=iso_ms(price.window_end_ms),
        confidence=price.confidence_bps.quantize(CENTI, ROUND_HALF_EVEN),
        degraded=price.degraded,
        rate=_rate(price.rate, rate_date),
        sources=tuple(_part(source, price.computed_ms) for source in price.details),
    )


def of_past(found: Explanation) -> ExplainReply:
    """Return the reasons that were stored with a row."""
    bare = ExplainReply(
        pair=found.pair,
        price=found.price,
        price_exact=f"{found.price:f}",
        timestamp=found.at_ms,
        as_of=iso_ms(found.at_ms),
        method=found.method,
        volume=found.volume,
        live=False,
        sources=(),
    )
    why = found.reasons
    if why is None:
        return bare
    return msgspec.structs.replace(
        bare,
        as_of=iso_ms(why.as_of_ms),
        window_start=iso_ms(why.window_start_ms),
        window_end=iso_ms(why.window_end_ms),
        confidence=why.confidence_bps.quantize(CENTI, ROUND_HALF_EVEN),
        degraded=why.degraded,
        rate=_rate(why.rate, why.rate_date),
        sources=tuple(_part(source, found.at_ms) for source in why.details),
    )


def _rate(value: Decimal | None, since: date | None) -> RateReply | None:
    return None if value is None else RateReply(value=value, date=since.isoformat() if since else None)


def _part(source: Source, made_ms: int) -> SourceReply:
    return SourceReply(
        exchange=source.exchange,
        vwap=source.vwap,
        volume=source.volume,
        trades=source.trades,
        last_trade=iso_ms(source.last_ms),
        age_ms=max(0, made_ms - source.last_ms),
        conversion=source.conversion,
        price=source.price,
        weight=source.weight,
        excluded=source.excluded,
    )
