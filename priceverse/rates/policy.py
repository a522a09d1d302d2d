"""Which official rate is believed, which is in force, which are kept. Pure; days are days in Moscow.

The rule: the last good rate stands until a better one is read. It is never 0, never guessed, and never forgotten for
its age: how old is too old is for those to say who use it.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from priceverse.model.decimals import EXACT
from priceverse.model.rate import Rate

AHEAD_MOST = timedelta(days=31)
"""Tomorrow's rate is out in the evening, that of 9 January by 30 December; nothing is set for later."""


class Verdict(StrEnum):
    """What becomes of a rate that was read."""

    ACCEPTED = "accepted"
    HELD = "held"  # too far from the last good one: somebody must look
    OUTDATED = "outdated"  # older than the one in force
    TOO_EARLY = "too_early"  # for a day beyond any calendar


def judge(known: tuple[Rate, ...], read: Rate, today: date, max_jump: Decimal) -> Verdict:
    """Return what becomes of `read`; `max_jump` is a fraction of the last good rate, up or down."""
    if read.date > today + AHEAD_MOST:
        return Verdict.TOO_EARLY
    current = in_force(known, today)
    if current is not None and read.date < current.date:
        return Verdict.OUTDATED
    good = last_good(known, read.date)
    if good is None:
        return Verdict.ACCEPTED
    step = abs(EXACT.subtract(read.usd_rub, good.usd_rub))
    return Verdict.HELD if step > EXACT.multiply(max_jump, good.usd_rub) else Verdict.ACCEPTED


def last_good(known: tuple[Rate, ...], day: date) -> Rate | None:
    """Return what a rate for `day` is measured against: that of the same day or the nearest before, else the first."""
    before = [rate for rate in known if rate.date <= day]
    return before[-1] if before else next(iter(known), None)


def in_force(known: tuple[Rate, ...], today: date) -> Rate | None:
    """Return the rate of the latest day that has begun."""
    begun = [rate for rate in known if rate.date <= today]
    return begun[-1] if begun else None


def merged(*sets: Iterable[Rate]) -> tuple[Rate, ...]:
    """Return all rates, one per day, by day: of two for the same day the one read last."""
    by_day: dict[date, Rate] = {}
    for rate in (rate for rates in sets for rate in rates):
        if rate.date not in by_day or rate.fetched_ms >= by_day[rate.date].fetched_ms:
            by_day[rate.date] = rate
    return tuple(by_day[day] for day in sorted(by_day))


def kept(known: tuple[Rate, ...], today: date) -> tuple[Rate, ...]:
    """Return the one in force, the one before it and the later ones: all that anybody can need from now on.

    The one before: just after midnight in Moscow the last rows of the old day are still being written.
    """
    begun = [rate for rate in known if rate.date <= today]
    return (*begun[-2:], *(rate for rate in known if rate.date > today))
