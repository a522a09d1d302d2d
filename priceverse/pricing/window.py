"""The sliding window: the trades of one pair by event time, and exact running sums over a stretch of it.

    Entry ─▶ Tick ─▶ Tape (by time) ─▶ Window (sums per venue) ─▶ Venue

This is the live window, which follows the clock to the millisecond; history's moves by whole panes (`panes`). Sums are
kept by price level, a price cut to four digits, so that a venue's median and its wild prints are known without looking
at its trades again. A window is half-open, `start <= time < end`. The rule: a trade is added to a window once and taken
out once, whatever the window's length and whatever the order of arrival.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from itertools import chain
from typing import NamedTuple

from priceverse.model.decimals import EXACT
from priceverse.pricing.entry import Entry
from priceverse.pricing.venue import Level

LEVEL = Context(prec=4, rounding=ROUND_DOWN)
"""Cuts a price to its level: between 0.01 % and 0.1 % wide."""


class Tick(NamedTuple):
    """What of a trade counts: `value` is price × volume, exactly; `key` is its venue and its price level."""

    key: tuple[str, Decimal]
    trade_id: str
    ms: int
    value: Decimal
    volume: Decimal
    price: Decimal

    @classmethod
    def of(cls, entry: Entry) -> "Tick":
        """Return the tick of a trade."""
        _, exchange, trade_id, price, volume, ms, _ = entry
        return _new(cls, ((exchange, _level(price)), trade_id, ms, _multiply(price, volume), volume, price))


_level, _multiply = LEVEL.plus, EXACT.multiply
_new = tuple.__new__
"""A named tuple's own constructor costs three times as much."""


class Tape:
    """Ticks by millisecond, none older than `floor_ms`. A trade is put on it once: that is for its caller to know."""

    def __init__(self, floor_ms: int) -> None:
        self.floor_ms = floor_ms
        self.newest_ms = floor_ms - 1
        self._by_ms: dict[int, list[Tick]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_ms.values()))

    @property
    def is_empty(self) -> bool:
        """Tell whether there is no tick at all."""
        return not self._by_ms

    def add(self, tick: Tick) -> None:
        """Put a tick on the tape; it is not older than the floor."""
        ms = tick.ms
        ticks = self._by_ms.get(ms)
        if ticks is None:
            self._by_ms[ms] = [tick]
        else:
            ticks.append(tick)
        if ms > self.newest_ms:  # noqa: PLR1730 - once per trade, and max() costs three times as much
            self.newest_ms = ms

    def forget(self, before_ms: int) -> None:
        """Raise the floor: what is older can never count again."""
        for ms in self._moments(self.floor_ms, before_ms):
            del self._by_ms[ms]
        self.floor_ms = max(self.floor_ms, before_ms)

    def between(self, start_ms: int, end_ms: int) -> Iterator[Tick]:
        """Yield the ticks with `start_ms <= ms < end_ms`."""
        return chain.from_iterable(self._by_ms[ms] for ms in self._moments(start_ms, end_ms))

    def _moments(self, start_ms: int, end_ms: int) -> list[int]:
        """Return the milliseconds that have ticks, by whichever way is shorter."""
        if end_ms - start_ms > len(self._by_ms):
            return [ms for ms in self._by_ms if start_ms <= ms < end_ms]
        return [ms for ms in range(start_ms, end_ms) if ms in self._by_ms]


@dataclass(slots=True)
class _Sum:
    value: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)
    trades: int = 0
    last_ms: int = 0


@dataclass(slots=True)
class Window:
    """Sums over `start_ms <= time < end_ms` of a tape. Begins empty; `slide` moves it."""

    tape: Tape
    start_ms: int
    end_ms: int = field(init=False)
    _sums: dict[tuple[str, Decimal], _Sum] = field(init=False, default_factory=dict)
    _late: list[Tick] = field(init=False, default_factory=list)  # inside, and not summed yet

    def __post_init__(self) -> None:
        self.end_ms = self.start_ms

    def slide(self, start_ms: int, end_ms: int) -> None:
        """Move the edges: what leaves is subtracted, what enters is added.

        The start may go back, as clocks do; the end never does, so that `last_ms` is of the newest trade inside.
        """
        self._settle()
        old_start, old_end = self.start_ms, self.end_ms
        end_ms = max(end_ms, old_end)
        self._subtract(self.tape.between(old_start, min(start_ms, old_end)))
        self._add(self.tape.between(start_ms, old_start))
        self._add(self.tape.between(max(start_ms, old_end), end_ms))
        self.start_ms, self.end_ms = start_ms, end_ms

    def late(self, tick: Tick) -> bool:
        """Add a tick that was just put on the tape if it belongs inside the edges; tell whether it does."""
        inside = self.start_ms <= tick.ms < self.end_ms
        if inside:
            self._late.append(tick)
        return inside

    @property
    def trades(self) -> int:
        """The number of trades inside."""
        return len(self._late) + sum(total.trades for total in self._sums.values())

    def levels(self) -> dict[str, tuple[Level, ...]]:
        """Return the sums, by venue, its levels in ascending order of price."""
        self._settle()
        found: dict[str, list[Level]] = {}
        for (exchange, level), total in self._sums.items():
            found.setdefault(exchange, []).append(Level(level, total.value, total.volume, total.trades, total.last_ms))
        return {exchange: tuple(sorted(levels)) for exchange, levels in sorted(found.items())}

    def _settle(self) -> None:
        self._add(self._late)
        self._late.clear()

    def _add(self, ticks: Iterable[Tick]) -> None:
        sums = self._sums
        with localcontext(EXACT):
            for key, _, ms, value, volume, _ in ticks:
                total = sums.get(key)
                if total is None:
                    total = sums[key] = _Sum()
                total.value += value
                total.volume += volume
                total.trades += 1
                if ms > total.last_ms:  # noqa: PLR1730 - once per trade, and max() costs three times as much
                    total.last_ms = ms

    def _subtract(self, ticks: Iterable[Tick]) -> None:
        sums = self._sums
        with localcontext(EXACT):
            for key, _, _, value, volume, _ in ticks:
                total = sums[key]
                total.value -= value
                total.volume -= volume
                total.trades -= 1
                if not total.trades:
                    del sums[key]
