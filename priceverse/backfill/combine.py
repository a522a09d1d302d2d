"""Many venues' candles of a bucket become one, dollars become roubles. Pure, exact until the schema's eight places.

The rule: the same as for prices. USDT is converted or left out, never taken for a dollar; a venue far from the median
of the others is left out; no rate, no roubles.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import reduce

from priceverse.model.candle import Candle
from priceverse.model.decimals import EXACT, to_places

_FEWEST_FOR_A_MEDIAN = 3


def combined(candles: Sequence[Candle], max_deviation: Decimal) -> Candle:
    """Return the candle of all venues that are near their median. `candles` is not empty, all of one bucket.

    Open and close are weighted by volume, for who traded first nobody tells; high, low and the sums are plain.
    """
    admitted = _admitted(candles, max_deviation)
    volume, quote_volume = _sum([each.volume for each in admitted]), _sum([each.quote_volume for each in admitted])
    first = admitted[0]
    return replace(
        first,
        open=_weighted([each.open for each in admitted], admitted, volume),
        high=max(each.high for each in admitted),
        low=min(each.low for each in admitted),
        close=_weighted([each.close for each in admitted], admitted, volume),
        volume=to_places(volume),
        quote_volume=quote_volume,
        trades=sum(each.trades for each in admitted),
    )


def converted(candle: Candle, factor: Decimal, pair: str | None = None) -> Candle:
    """Return the candle in another currency, `factor` units of it for one of its own; as another pair's, if named."""
    return replace(
        candle,
        pair=pair or candle.pair,
        open=to_places(EXACT.multiply(candle.open, factor)),
        high=to_places(EXACT.multiply(candle.high, factor)),
        low=to_places(EXACT.multiply(candle.low, factor)),
        close=to_places(EXACT.multiply(candle.close, factor)),
        quote_volume=EXACT.multiply(candle.quote_volume, factor),
        source="backfill",
    )


def _admitted(candles: Sequence[Candle], max_deviation: Decimal) -> Sequence[Candle]:
    if len(candles) < _FEWEST_FOR_A_MEDIAN:
        return candles
    levels = sorted(_level(each) for each in candles)
    middle = levels[len(levels) // 2]
    furthest = EXACT.multiply(middle, max_deviation)
    return [each for each in candles if abs(EXACT.subtract(_level(each), middle)) <= furthest]


def _level(candle: Candle) -> Decimal:
    return candle.vwap or candle.close


def _weighted(prices: Sequence[Decimal], candles: Sequence[Candle], volume: Decimal) -> Decimal:
    parts = [EXACT.multiply(price, each.volume) for price, each in zip(prices, candles, strict=True)]
    return to_places(EXACT.divide(_sum(parts), volume))


def _sum(numbers: Sequence[Decimal]) -> Decimal:
    return reduce(EXACT.add, numbers)
