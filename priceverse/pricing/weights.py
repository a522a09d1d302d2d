"""How venue prices become one: shares, their cap, and the three methods.

The rule: shares add up to one, and nothing is rounded here beyond the 200 digits of `EXACT`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import reduce
from itertools import accumulate
from typing import NamedTuple, assert_never

from priceverse.model.decimals import EXACT
from priceverse.model.price import Method

ONE = Decimal(1)
TWO = Decimal(2)


class Admitted(NamedTuple):
    """A venue that counts, in the pair's currency; `value` is Σ price × volume after conversion."""

    price: Decimal
    value: Decimal
    volume: Decimal


def _total(numbers: Iterable[Decimal]) -> Decimal:
    return reduce(EXACT.add, numbers)


def shares(venues: Sequence[Admitted], method: Method, max_weight: Decimal) -> list[Decimal]:
    """Return each venue's share: of the volume, or equal for the mean; none above `max_weight` if that is possible."""
    if not venues:
        return []
    wanted = [ONE if method is Method.MEAN else venue.volume for venue in venues]
    total = _total(wanted)
    return capped([EXACT.divide(share, total) for share in wanted], max_weight)


def capped(found: Sequence[Decimal], max_weight: Decimal) -> list[Decimal]:
    """Cut shares to `max_weight`, the rest to the others in proportion; equal where the cap is too low for all."""
    count = len(found)
    if EXACT.multiply(max_weight, Decimal(count)) <= ONE:
        return [EXACT.divide(ONE, Decimal(count))] * count
    result = list(found)
    full: set[int] = set()
    while over := {i for i, share in enumerate(result) if i not in full and share > max_weight}:
        full |= over
        free = EXACT.subtract(ONE, EXACT.multiply(max_weight, Decimal(len(full))))
        rest = _total(found[i] for i in range(count) if i not in full)
        result = [max_weight if i in full else EXACT.divide(EXACT.multiply(found[i], free), rest) for i in range(count)]
    return result


def combine(venues: Sequence[Admitted], weights: Sequence[Decimal], method: Method, *, plain: bool) -> Decimal:
    """Return the index price. `plain`: no weight was capped, so that the VWAP is Σ value / Σ volume, one division."""
    match method:
        case Method.VWAP if plain:
            return EXACT.divide(_total(venue.value for venue in venues), _total(venue.volume for venue in venues))
        case Method.VWAP | Method.MEAN:
            return _total(EXACT.multiply(venue.price, weight) for venue, weight in zip(venues, weights, strict=True))
        case Method.MEDIAN:
            return weighted_median([venue.price for venue in venues], weights)
    assert_never(method)


def weighted_median(prices: Sequence[Decimal], weights: Sequence[Decimal]) -> Decimal:
    """Return the price at which half of the weight lies on either side; the middle of two where it falls between."""
    ordered = sorted(zip(prices, weights, strict=True))
    passed = list(accumulate((weight for _, weight in ordered), EXACT.add))
    half = EXACT.divide(passed[-1], TWO)
    place = bisect_left(passed, half)
    price = ordered[place][0]
    return EXACT.divide(EXACT.add(price, ordered[place + 1][0]), TWO) if passed[place] == half else price


def median(prices: Sequence[Decimal]) -> Decimal:
    """Return the middle price, every venue counting the same."""
    ordered = sorted(prices)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return EXACT.divide(EXACT.add(low, high), TWO)


def dispersion_bps(venues: Sequence[Admitted], weights: Sequence[Decimal], price: Decimal) -> Decimal:
    """Return the weighted standard deviation of the venues round `price`, in basis points."""
    gaps = [EXACT.subtract(venue.price, price) for venue in venues]
    squares = [EXACT.multiply(weight, EXACT.multiply(gap, gap)) for gap, weight in zip(gaps, weights, strict=True)]
    return EXACT.divide(EXACT.multiply(_total(squares).sqrt(EXACT), Decimal(10_000)), price)
