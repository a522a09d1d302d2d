"""Candles without holes: where nobody traded stands a flat candle at the last price, with no volume and no trades.

The rule: a hole is filled from what was before it, never from what came after, and nothing is invented before the first
candle of the range.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from priceverse.model.candle import Candle, Interval
from priceverse.rpc.ports import CandlePage, History
from priceverse.services.spans import Span


@dataclass(frozen=True, slots=True)
class Asked:
    """Which candles: of a pair, of a length, that begin within a span."""

    pair: str
    interval: Interval
    span: Span


async def filled_page(asked: Asked, limit: int, offset: int, history: History) -> CandlePage:
    """Return one page of the range without holes, newest first; `total` counts the filled ones too."""
    pair, interval, span = asked.pair, asked.interval, asked.span
    first = await history.candles(
        pair, interval, from_ms=span.from_ms, to_ms=span.to_ms, limit=1, offset=0, newest_first=False
    )
    if not first.candles:
        return CandlePage((), 0)
    begins_ms = first.candles[0].start_ms
    last_ms = interval.start_ms(span.to_ms - 1)
    total = (last_ms - begins_ms) // interval.ms + 1
    newest_ms = last_ms - offset * interval.ms
    oldest_ms = max(begins_ms, newest_ms - (limit - 1) * interval.ms)
    if newest_ms < begins_ms:
        return CandlePage((), total)
    present = await history.candles(
        pair, interval, from_ms=oldest_ms, to_ms=newest_ms + interval.ms, limit=limit, offset=0, newest_first=False
    )
    before = await history.candles(pair, interval, from_ms=span.from_ms, to_ms=oldest_ms, limit=1, offset=0)
    grid = range(oldest_ms, newest_ms + 1, interval.ms)
    found = without_holes((*before.candles, *present.candles), grid)
    return CandlePage(tuple(reversed(found)), total)


def without_holes(candles: Iterable[Candle], grid: range) -> list[Candle]:
    """Return the candle of every instant of `grid`, oldest first; `candles` are by time and may begin before it."""
    by_start = {candle.start_ms: candle for candle in candles}
    last = next((candle for start_ms, candle in by_start.items() if start_ms < grid.start), None)
    found = []
    for start_ms in grid:
        candle = by_start.get(start_ms) or (last and flat(last, start_ms))
        if candle:
            found.append(candle)
            last = candle
    return found


def flat(last: Candle, start_ms: int) -> Candle:
    """Return the candle of a bucket without trades, after `last`."""
    price, zero = last.close, Decimal(0)
    return replace(
        last,
        start_ms=start_ms,
        open=price,
        high=price,
        low=price,
        volume=zero,
        quote_volume=zero,
        trades=0,
        opened_ms=start_ms,
        closed_ms=start_ms,
        source="trades",
    )
