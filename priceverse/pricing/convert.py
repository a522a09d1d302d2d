"""From one currency to another: USDT to USD through the reference pair, USD to RUB through the rate in force.

The rule: a conversion that is missing or too old is missing. It is never 1, never the last one for ever.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from priceverse.model.decimals import EXACT
from priceverse.model.rate import Rate

REFERENCE_MAX_AGE_MS = 60_000
"""A quiet reference pair still converts for so long after its newest trade."""

REFERENCE_PLACES = Decimal("1e-20")
"""A conversion has 20 places: finite, so that everybody can repeat the calculation, and far below what is stored."""

MOSCOW = timezone(timedelta(hours=3), "Europe/Moscow")
"""Since 26 October 2014; an official rate is for a day there."""


def conversion(index: Decimal) -> Decimal:
    """Return the USDT → USD factor for an index of the reference pair."""
    return index.quantize(REFERENCE_PLACES, rounding=ROUND_HALF_EVEN, context=EXACT)


@dataclass(slots=True)
class Conversions:
    """The conversion at each instant of the history grid; instants are added in order."""

    _at_ms: list[int] = field(default_factory=list)
    _found: list[tuple[Decimal, int]] = field(default_factory=list)

    def add(self, at_ms: int, factor: Decimal, as_of_ms: int) -> None:
        """Note the conversion of an instant and the newest trade behind it."""
        self._at_ms.append(at_ms)
        self._found.append((factor, as_of_ms))

    def at(self, at_ms: int) -> Decimal | None:
        """Return the newest conversion of that instant or before; None if there is none or its trade is too old."""
        place = bisect_right(self._at_ms, at_ms)
        if not place:
            return None
        factor, as_of_ms = self._found[place - 1]
        return factor if at_ms - as_of_ms <= REFERENCE_MAX_AGE_MS else None

    def forget(self, before_ms: int) -> None:
        """Drop what no instant from `before_ms` on can need."""
        place = bisect_right(self._at_ms, before_ms - REFERENCE_MAX_AGE_MS)
        del self._at_ms[:place], self._found[:place]


class RateFault(StrEnum):
    """Why there is no rate."""

    MISSING = "rate_missing"
    STALE = "rate_stale"


@dataclass(frozen=True, slots=True)
class Rates:
    """What is known of the official rate, and how old it may be."""

    known: tuple[Rate, ...] = ()
    max_age_days: int = 4

    def including(self, more: Iterable[Rate]) -> "Rates":
        """Return these and `more`, one per date (the newer word wins), the last fourteen of them."""
        by_date = {rate.date: rate for rate in (*self.known, *more)}
        return Rates(tuple(by_date[day] for day in sorted(by_date))[-14:], self.max_age_days)

    def in_force(self, at_ms: int) -> Rate | RateFault:
        """Return the newest rate for a day that had begun in Moscow at `at_ms`: tomorrow's is not applied early."""
        today = moscow_day(at_ms)
        begun = [rate for rate in self.known if rate.date <= today]
        if not begun:
            return RateFault.MISSING
        newest = begun[-1]
        return newest if (today - newest.date).days <= self.max_age_days else RateFault.STALE


def moscow_day(at_ms: int) -> date:
    """Return the calendar day in Moscow."""
    return datetime.fromtimestamp(at_ms // 1000, tz=UTC).astimezone(MOSCOW).date()
