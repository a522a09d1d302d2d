"""Candles from trades: what a settled instant adds to the buckets of five minutes.

    Part (venue, level, pane; from `panes`) ─ value ─▶ Valued (conversion; no outliers) ─ render ─▶ Candle

A trade belongs to the first instant of the grid after its own time, which gives its conversion, and is added with the
first instant that settles after both that and its arrival: a late trade comes with a later one and revises its bucket.
The rule: what an instant adds is a function of the streams, so adding all of them once gives the same candles always.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from priceverse.model.candle import Candle, Interval, merged, trade_key
from priceverse.model.decimals import EXACT, is_storable, to_places
from priceverse.model.exchange import Quote
from priceverse.model.price import Excluded
from priceverse.pricing.index import Rules, Verdict
from priceverse.pricing.panes import Part
from priceverse.pricing.schedule import Grid
from priceverse.pricing.venue import Level, near

BUCKET = Interval.FIVE_MINUTES
ONE = Decimal(1)

Factor = Callable[[int], Decimal | None]
"""What to multiply by at an instant, None where that is not known."""


class Left(StrEnum):
    """Why a trade is in no candle."""

    OUTLIER = "outlier"
    NO_CONVERSION = "no_conversion"
    NO_RATE = "no_rate"
    UNSTORABLE = "unstorable"  # the schema has no room for such a number


class Valued(NamedTuple):
    """A part that enters candles, and what turns its prices into those of the pair."""

    part: Part
    factor: Decimal


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the window of an instant says: by it trades are outliers or not."""

    verdict: Verdict
    levels: Mapping[str, Sequence[Level]]
    window_start_ms: int
    rules: Rules

    def is_outlier(self, part: Part, factor: Decimal) -> bool:
        """Tell whether trades are left out.

        Those in the window are, with their venue or as its wild prints; older ones when they are too far from the
        instant's price: there is no window any more that they could be judged in.
        """
        fate = {source.exchange: source.excluded for source in self.verdict.details}
        excluded = fate.get(part.exchange)
        if part.pane_ms < self.window_start_ms or excluded is Excluded.STALE:
            return self._is_far(EXACT.multiply(part.level, factor))
        if excluded is Excluded.OUTLIER:
            return True
        kept = near(self.levels[part.exchange], self.rules.max_deviation)
        return all(level.price != part.level for level in kept)

    def _is_far(self, price: Decimal) -> bool:
        index = self.verdict.index
        if index is None:
            return False
        return abs(EXACT.subtract(price, index.price)) > EXACT.multiply(index.price, self.rules.max_deviation)


def value(
    parts: Iterable[Part], quotes: Mapping[str, Quote], conversion: Factor, judgement: Judgement, grid: Grid
) -> tuple[list[Valued], Counter[str]]:
    """Return the parts that enter, and how many trades are left out by reason."""
    entering: list[Valued] = []
    left: Counter[str] = Counter()
    for part in parts:
        factor = ONE if quotes[part.exchange] is Quote.USD else conversion(grid.belongs_to(part.pane_ms))
        if factor is None:
            left[Left.NO_CONVERSION] += part.trades
        elif judgement.is_outlier(part, factor):
            left[Left.OUTLIER] += part.trades
        else:
            entering.append(Valued(part, factor))
    return entering, left


def render(pair: str, entering: Iterable[Valued], rate: Factor | None = None) -> tuple[list[Candle], Counter[str]]:
    """Return what `pair` gains, rounded to the schema's eight places; and how many trades are left out by reason.

    `rate` makes it a derived pair's: what is in force at the bucket's start is so in all of it, as days begin with one.
    """
    found: list[Candle] = []
    left: Counter[str] = Counter()
    for part, factor in entering:
        official = rate(part.bucket_ms) if rate else ONE
        if official is None:
            left[Left.NO_RATE] += part.trades
            continue
        candle = _candle(pair, part, EXACT.multiply(factor, official))
        if is_storable(candle.low) and is_storable(candle.high):
            found.append(candle)
        else:
            left[Left.UNSTORABLE] += part.trades
    return [replace(candle, volume=to_places(candle.volume)) for candle in merged(found)], left


def _candle(pair: str, part: Part, factor: Decimal) -> Candle:
    return Candle(
        pair=pair,
        interval=BUCKET,
        start_ms=part.bucket_ms,
        open=to_places(EXACT.multiply(part.first.price, factor)),
        high=to_places(EXACT.multiply(part.high, factor)),
        low=to_places(EXACT.multiply(part.low, factor)),
        close=to_places(EXACT.multiply(part.last.price, factor)),
        volume=part.volume,
        quote_volume=EXACT.multiply(part.value, factor),
        trades=part.trades,
        opened_ms=part.first.ms,
        closed_ms=part.last.ms,
        open_key=trade_key(part.exchange, part.first.trade_id),
        close_key=trade_key(part.exchange, part.last.trade_id),
    )
