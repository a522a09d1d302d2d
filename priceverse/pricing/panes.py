"""The window of history: exact sums over panes of time, which are put together to the window of every instant.

    Tick ─ gather ─▶ Part (venue, level, pane) ─▶ Panes ─▶ Level, by venue, of the window that ends at an instant

Windows of neighbouring instants share all panes but a few, and candles are made of the same parts. The rule: a trade is
summed up once, however many windows and candles it is in; any order gives the same parts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import gcd

from priceverse.model.candle import Interval
from priceverse.model.decimals import EXACT
from priceverse.pricing.schedule import Grid
from priceverse.pricing.venue import Level
from priceverse.pricing.window import Tick

BUCKET_MS = Interval.FIVE_MINUTES.ms


@dataclass(slots=True)
class Part:
    """Trades of one venue at one price level, of one pane and one bucket of candles."""

    pane_ms: int
    bucket_ms: int
    first: Tick
    last: Tick
    high: Decimal
    low: Decimal
    value: Decimal
    volume: Decimal
    trades: int

    @property
    def exchange(self) -> str:
        """The venue."""
        return self.first.key[0]

    @property
    def level(self) -> Decimal:
        """The price that all of them share, cut to four digits."""
        return self.first.key[1]


class Panes:
    """The parts that windows can still need. A pane is the longest time of which interval and window are multiples."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._pane_ms = gcd(grid.interval_ms, grid.window_ms)
        self._parts: defaultdict[int, list[Part]] = defaultdict(list)

    @property
    def is_empty(self) -> bool:
        """Tell whether the next window, too, will be empty."""
        return not self._parts

    def add(self, ticks: Iterable[Tick], start_ms: int) -> list[Part]:
        """Return the parts of trades; keep those from `start_ms` on."""
        parts = gather(ticks, self._pane_ms)
        for part in parts:
            if part.pane_ms >= start_ms:
                self._parts[part.pane_ms].append(part)
        return parts

    def levels(self, end_ms: int) -> Mapping[str, tuple[Level, ...]]:
        """Return the sums over the window that ends at an instant: by venue, its levels in ascending order of price."""
        start_ms = end_ms - self._grid.window_ms
        sums: dict[tuple[str, Decimal], Level] = {}
        for pane_ms in range(start_ms, end_ms, self._pane_ms):
            for part in self._parts.get(pane_ms, ()):
                known = sums.get(part.first.key)
                sums[part.first.key] = _level(part) if known is None else _sum(known, part)
        found: defaultdict[str, list[Level]] = defaultdict(list)
        for (exchange, _), level in sums.items():
            found[exchange].append(level)
        return {exchange: tuple(sorted(levels)) for exchange, levels in sorted(found.items())}

    def forget(self, before_ms: int) -> None:
        """Drop the panes before an instant's window."""
        for pane_ms in [pane_ms for pane_ms in self._parts if pane_ms < before_ms]:
            del self._parts[pane_ms]


def gather(ticks: Iterable[Tick], pane_ms: int) -> list[Part]:
    """Sum up trades by pane, bucket, venue and level."""
    found: dict[tuple[int, int, tuple[str, Decimal]], Part] = {}
    with localcontext(EXACT):
        for tick in ticks:
            key, _, ms, value, volume, price = tick
            place = (ms // pane_ms, ms // BUCKET_MS, key)
            part = found.get(place)
            if part is None:
                pane, bucket = place[0] * pane_ms, place[1] * BUCKET_MS
                found[place] = Part(pane, bucket, tick, tick, price, price, value, volume, trades=1)
                continue
            part.value += value
            part.volume += volume
            part.trades += 1
            if price > part.high:
                part.high = price
            elif price < part.low:
                part.low = price
            if ms >= part.last.ms and (ms > part.last.ms or _order(tick) > _order(part.last)):
                part.last = tick
            elif ms <= part.first.ms and (ms < part.first.ms or _order(tick) < _order(part.first)):
                part.first = tick
    return list(found.values())


def _order(tick: Tick) -> tuple[int, str]:
    """Return the place among the trades of a venue within a millisecond: that of `trade_key`."""
    return len(tick.trade_id), tick.trade_id


def _level(part: Part) -> Level:
    return Level(part.level, part.value, part.volume, part.trades, part.last.ms)


def _sum(level: Level, part: Part) -> Level:
    return Level(
        level.price,
        EXACT.add(level.value, part.value),
        EXACT.add(level.volume, part.volume),
        level.trades + part.trades,
        max(level.last_ms, part.last.ms),
    )
