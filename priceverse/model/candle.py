"""A candle: what the trades of one pair came to in one bucket of time, exactly, and how two parts of it become one.

The rule: merging is associative and loses nothing, so a candle does not depend on the portions in which its trades came.
Open and close go by the trade's own time; at the same millisecond the earlier portion has the open, the later the close,
so portions are merged in the order of the stream.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from priceverse.model.decimals import EXACT

CandleSource = Literal["trades", "backfill"]


class Interval(StrEnum):
    """The length of a candle's bucket; buckets begin at multiples of it, UTC."""

    FIVE_MINUTES = "5min"
    HOUR = "1hour"
    DAY = "1day"

    @property
    def ms(self) -> int:
        """The length in milliseconds."""
        return _LENGTHS_MS[self]

    @property
    def table(self) -> str:
        """The table of the database that holds these candles."""
        return f"price_history_{self.value}"

    def start_ms(self, at_ms: int) -> int:
        """Return the start of the bucket that an instant is in."""
        return at_ms - at_ms % self.ms


_LENGTHS_MS = {Interval.FIVE_MINUTES: 300_000, Interval.HOUR: 3_600_000, Interval.DAY: 86_400_000}


@dataclass(frozen=True, slots=True)
class Candle:
    """The trades of `pair` with `start_ms <= time < start_ms + interval.ms`, or a part of them.

    `quote_volume` is the exact sum of price × volume. `opened_ms` and `closed_ms` are the times of the first and the last
    trade. A candle that an exchange told us of, instead of trades of ours, has the source `backfill`.
    """

    pair: str
    interval: Interval
    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int
    opened_ms: int
    closed_ms: int
    source: CandleSource = "trades"

    @property
    def vwap(self) -> Decimal | None:
        """The volume-weighted average price, to 200 digits; None without volume."""
        return EXACT.divide(self.quote_volume, self.volume) if self.volume else None

    def merge(self, later: "Candle") -> "Candle":
        """Return both as one; `later` came later and wins the close of the same millisecond, never its open."""
        if (self.pair, self.interval, self.start_ms) != (later.pair, later.interval, later.start_ms):
            raise ValueError("candles of different buckets")
        first = later if later.opened_ms < self.opened_ms else self
        last = later if later.closed_ms >= self.closed_ms else self
        return replace(
            self,
            open=first.open,
            high=max(self.high, later.high),
            low=min(self.low, later.low),
            close=last.close,
            volume=EXACT.add(self.volume, later.volume),
            quote_volume=EXACT.add(self.quote_volume, later.quote_volume),
            trades=self.trades + later.trades,
            opened_ms=first.opened_ms,
            closed_ms=last.closed_ms,
            source="trades" if self.source == later.source == "trades" else "backfill",
        )


def merged(candles: Iterable[Candle]) -> list[Candle]:
    """Return one candle per bucket, in the order in which buckets appear; parts come in the order of the stream."""
    found: dict[tuple[str, Interval, int], Candle] = {}
    for candle in candles:
        key = (candle.pair, candle.interval, candle.start_ms)
        known = found.get(key)
        found[key] = candle if known is None else known.merge(candle)
    return list(found.values())
