"""What one venue says of a pair over a window: its levels, its median, its volume-weighted price without wild prints.

The rule: a wild print is judged by its own venue's median, so that a single absurd trade does not cost the venue, and a
venue that is wrong as a whole is left to the comparison with the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from itertools import accumulate
from typing import NamedTuple

from priceverse.model.decimals import EXACT

MAJORITY = 3
"""Fewer trades than this have no majority that could call one of them wild."""


class Level(NamedTuple):
    """The trades of a venue whose prices share their first four digits; `value` is Σ price × volume."""

    price: Decimal
    value: Decimal
    volume: Decimal
    trades: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue's trades in a window, in its own quote currency; `wild` of them were left out of the sums."""

    exchange: str
    value: Decimal
    volume: Decimal
    trades: int
    last_ms: int
    wild: int = 0

    @property
    def vwap(self) -> Decimal:
        """The volume-weighted average price, to 200 digits."""
        return EXACT.divide(self.value, self.volume)


def venue(exchange: str, levels: Sequence[Level], max_deviation: Decimal) -> Venue:
    """Sum up the levels (ascending, at least one) that lie within `max_deviation` of the median one."""
    total = sum(level.trades for level in levels)
    kept = near(levels, max_deviation)
    trades = sum(level.trades for level in kept)
    return Venue(
        exchange,
        value=reduce(EXACT.add, [level.value for level in kept]),
        volume=reduce(EXACT.add, [level.volume for level in kept]),
        trades=trades,
        last_ms=max(level.last_ms for level in kept),
        wild=total - trades,
    )


def near(levels: Sequence[Level], max_deviation: Decimal) -> Sequence[Level]:
    """Return the levels without the wild ones, which are too far from the median one."""
    total = sum(level.trades for level in levels)
    return levels if total < MAJORITY else _near(levels, _median(levels, total), max_deviation)


def _median(levels: Sequence[Level], total: int) -> Decimal:
    """Return the level of the middle trade, the lower one of two."""
    passed = accumulate(level.trades for level in levels)
    return next(level.price for level, so_far in zip(levels, passed, strict=True) if 2 * so_far >= total)


def _near(levels: Sequence[Level], median: Decimal, max_deviation: Decimal) -> list[Level]:
    limit = EXACT.multiply(median, max_deviation)
    return [level for level in levels if abs(EXACT.subtract(level.price, median)) <= limit]
