"""A candle: what the trades of one pair came to in one bucket of time, exactly, and how two parts of it become one.

The rule: merging is commutative, associative and loses nothing, so a candle depends on its trades alone, not on the
portions or the order in which they came. Open and close go by the trade's own time, at the same millisecond by its key.
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

    `quote_volume` is the exact sum of price × volume. `opened_ms` and `closed_ms` are the times of the first and the
    last trade, `open_key` and `close_key` (see `trade_key`) their places within the millisecond. A candle that an
    exchange told us of, instead of trades of ours, has the source `backfill`.
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
    open_key: str = ""
    close_key: str = ""

    @property
    def bucket(self) -> tuple[str, Interval, int]:
        """What candle this is, or is a part of."""
        return self.pair, self.interval, self.start_ms

    @property
    def vwap(self) -> Decimal | None:
        """The volume-weighted average price, to 200 digits; None without volume."""
        return EXACT.divide(self.quote_volume, self.volume) if self.volume else None

    def merge(self, other: "Candle") -> "Candle":
        """Return both, which share no trade, as one. Raises ValueError for another bucket's."""
        if self.bucket != other.bucket:
            raise ValueError("candles of different buckets")
        first = min(self, other, key=lambda part: (part.opened_ms, part.open_key))
        last = max(self, other, key=lambda part: (part.closed_ms, part.close_key))
        return replace(
            self,
            open=first.open,
            high=max(self.high, other.high),
            low=min(self.low, other.low),
            close=last.close,
            volume=EXACT.add(self.volume, other.volume),
            quote_volume=EXACT.add(self.quote_volume, other.quote_volume),
            trades=self.trades + other.trades,
            opened_ms=first.opened_ms,
            closed_ms=last.closed_ms,
            source="trades" if self.source == other.source == "trades" else "backfill",
            open_key=first.open_key,
            close_key=last.close_key,
        )


def merged(candles: Iterable[Candle]) -> list[Candle]:
    """Return one candle per bucket, in the order in which the buckets appear."""
    found: dict[tuple[str, Interval, int], Candle] = {}
    for candle in candles:
        known = found.get(candle.bucket)
        found[candle.bucket] = candle if known is None else known.merge(candle)
    return list(found.values())


def trade_key(exchange: str, trade_id: str) -> str:
    """Return what orders trades of the same millisecond: by venue, then by id, ids that are numbers by their value."""
    shown = trade_id if trade_id.isprintable() else ascii(trade_id)  # PostgreSQL takes no NUL
    return f"{exchange} {len(trade_id):03d} {shown}"
