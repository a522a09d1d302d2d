"""The JSON of a live price: `{"price": "…", "timestamp": ms, "sources": […], …, "details": […]}` (pure).

The rule: prices and volumes are strings, so that no reader can make a double of them by accident.
"""

from decimal import Decimal

import msgspec

from priceverse.model.price import Excluded, Method, Price, Source


class _Source(msgspec.Struct):
    exchange: str
    vwap: Decimal
    volume: Decimal
    trades: int
    last: int
    conversion: Decimal | None
    price: Decimal | None
    weight: Decimal
    excluded: Excluded | None


class _Price(msgspec.Struct, rename="camel"):
    price: Decimal
    timestamp: int
    sources: tuple[str, ...]
    pair: str
    volume: Decimal
    method: Method
    computed_at: int
    window_start: int
    window_end: int
    sequence: int
    confidence: Decimal
    degraded: bool
    rate: Decimal | None
    details: tuple[_Source, ...]


_DECODER = msgspec.json.Decoder(_Price)


def encode(price: Price) -> bytes:
    """Return the payload of key and channel."""
    return msgspec.json.encode(
        {
            "price": _plain(price.price),
            "timestamp": price.as_of_ms,
            "sources": price.sources,
            "pair": price.pair,
            "volume": _plain(price.volume),
            "method": price.method,
            "computedAt": price.computed_ms,
            "windowStart": price.window_start_ms,
            "windowEnd": price.window_end_ms,
            "sequence": price.sequence,
            "confidence": _plain(price.confidence_bps),
            "degraded": price.degraded,
            "rate": _plain(price.rate),
            "details": [_detail(source) for source in price.details],
        }
    )


def _detail(source: Source) -> dict[str, object]:
    return {
        "exchange": source.exchange,
        "vwap": _plain(source.vwap),
        "volume": _plain(source.volume),
        "trades": source.trades,
        "last": source.last_ms,
        "conversion": _plain(source.conversion),
        "price": _plain(source.price),
        "weight": _plain(source.weight),
        "excluded": source.excluded,
    }


def _plain(number: Decimal | None) -> str | None:
    """Spell a number without an exponent, which not every reader of prices knows."""
    return None if number is None else f"{number:f}"


def decode(payload: bytes | str) -> Price:
    """Read what `encode` wrote. Raises ValueError."""
    wire = _DECODER.decode(payload)
    details = tuple(
        Source(s.exchange, s.vwap, s.volume, s.trades, s.last, s.conversion, s.price, s.weight, s.excluded)
        for s in wire.details
    )
    return Price(
        pair=wire.pair,
        price=wire.price,
        volume=wire.volume,
        method=wire.method,
        sources=wire.sources,
        as_of_ms=wire.timestamp,
        computed_ms=wire.computed_at,
        window_start_ms=wire.window_start,
        window_end_ms=wire.window_end,
        sequence=wire.sequence,
        confidence_bps=wire.confidence,
        degraded=wire.degraded,
        details=details,
        rate=wire.rate,
    )


def readable(payload: bytes | str | None) -> Price | None:
    """Return the price in `payload`; None where there is none, or something that nobody of us wrote."""
    try:
        return decode(payload) if payload else None
    except ValueError:
        return None
