"""`price_history.explanation`: the reasons of a row, as JSON in the row itself.

The rule: numbers are strings there, so that every digit survives whoever reads it. A derived pair's row holds its rate
and the name of its source pair, whose row of the same instant has the rest.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from priceverse.db.instants import to_datetime, to_ms
from priceverse.db.pool import Database
from priceverse.model.explanation import Explanation, Reasons
from priceverse.model.price import Excluded, Method, Source

_NEAREST = """
    SELECT mine.pair::text, mine."timestamp", mine.price, coalesce(mine.volume, 0), mine.method::text, mine.sources,
           mine.explanation, source.explanation
    FROM (
        SELECT * FROM price_history WHERE pair = %s::pair_symbol AND "timestamp" <= %s ORDER BY "timestamp" DESC LIMIT 1
    ) AS mine
    LEFT JOIN price_history AS source
        ON source."timestamp" = mine."timestamp"
        AND source.pair = (mine.explanation ->> 'sourcePair')::pair_symbol
"""


class _Source(msgspec.Struct, rename="camel", omit_defaults=True):
    exchange: str
    vwap: Decimal
    volume: Decimal
    trades: int
    last_ms: int
    weight: Decimal
    conversion: Decimal | None = None
    price: Decimal | None = None
    excluded: Excluded | None = None


class _Reasons(msgspec.Struct, rename="camel", omit_defaults=True):
    source_pair: str
    window_start_ms: int = 0
    window_end_ms: int = 0
    as_of_ms: int = 0
    confidence_bps: Decimal = Decimal(0)
    degraded: bool = False
    details: list[_Source] = []
    rate: Decimal | None = None
    rate_date: date | None = None


async def explain(db: Database, pair: str, at_ms: int) -> Explanation | None:
    """Return the newest row of `pair` at or before `at_ms` with its reasons, None without one.

    Raises DatabaseUnavailable.
    """
    return await db.run(lambda connection: _explain(connection, pair, at_ms))


def encode(pair: str, reasons: Reasons) -> str:
    """Return what the row of `pair` stores: of a derived one only what its source's row does not have."""
    if pair != reasons.source_pair:
        return msgspec.json.encode(
            _Reasons(reasons.source_pair, rate=reasons.rate, rate_date=reasons.rate_date)
        ).decode()
    return msgspec.json.encode(
        _Reasons(
            source_pair=reasons.source_pair,
            window_start_ms=reasons.window_start_ms,
            window_end_ms=reasons.window_end_ms,
            as_of_ms=reasons.as_of_ms,
            confidence_bps=reasons.confidence_bps,
            degraded=reasons.degraded,
            details=[_stored(source) for source in reasons.details],
        )
    ).decode()


def decode(own: Mapping[str, Any], source: Mapping[str, Any] | None) -> Reasons | None:
    """Return the reasons of a row from its own explanation and that of its source's row; None if either is missing."""
    mine = msgspec.convert(own, _Reasons)
    if source is None:
        return None
    given = msgspec.convert(source, _Reasons)
    return Reasons(
        source_pair=given.source_pair,
        window_start_ms=given.window_start_ms,
        window_end_ms=given.window_end_ms,
        as_of_ms=given.as_of_ms,
        confidence_bps=given.confidence_bps,
        degraded=given.degraded,
        details=tuple(_source(each) for each in given.details),
        rate=mine.rate,
        rate_date=mine.rate_date,
    )


def _explain(connection: psycopg.Connection, pair: str, at_ms: int) -> Explanation | None:
    found = connection.execute(_NEAREST, (pair, to_datetime(at_ms))).fetchone()
    if found is None:
        return None
    name, instant, price, volume, method, sources, own, source = found
    reasons = decode(own, source) if own else None
    return Explanation(name, to_ms(instant), price, volume, Method(method), tuple(sources), reasons)


def _stored(source: Source) -> _Source:
    return _Source(
        exchange=source.exchange,
        vwap=source.vwap,
        volume=source.volume,
        trades=source.trades,
        last_ms=source.last_ms,
        weight=source.weight,
        conversion=source.conversion,
        price=source.price,
        excluded=source.excluded,
    )


def _source(stored: _Source) -> Source:
    return Source(
        exchange=stored.exchange,
        vwap=stored.vwap,
        volume=stored.volume,
        trades=stored.trades,
        last_ms=stored.last_ms,
        conversion=stored.conversion,
        price=stored.price,
        weight=stored.weight,
        excluded=stored.excluded,
    )
