"""Spans of time that clients ask for: a period or two instants, as one pair of instants that makes sense. Pure.

The rule: a span begins before it ends and ends no later than now. What a client may have got wrong has its own code
each, so that it learns what.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from priceverse.clock import iso_ms
from priceverse.rpc.errors import CallError, Code

Instant = Annotated[datetime, Meta(tz=True, description="ISO 8601 with an offset: `2026-01-31T12:00:00Z`.")]

SKEW_MS = 60_000
"""So far a client's clock may be ahead: its now is then taken for ours."""

_HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class Period(StrEnum):
    """A length of time up to now, or `custom`: from one instant to another."""

    DAY = "24hours"
    WEEK = "7days"
    MONTH = "30days"
    CUSTOM = "custom"


_LENGTHS_MS = {Period.DAY: 24 * _HOUR_MS, Period.WEEK: 7 * 24 * _HOUR_MS, Period.MONTH: 30 * 24 * _HOUR_MS}


@dataclass(frozen=True, slots=True)
class Span:
    """`from_ms` < `to_ms` ≤ now."""

    from_ms: int
    to_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is."""
        return self.to_ms - self.from_ms


def of_period(period: Period, since: datetime | None, until: datetime | None, now_ms: int) -> Span:
    """Return the span of `period`, which ends at `until` (default: now). Raises CallError.

    `since` belongs to the period `custom`, which does not go without it (INVALID_DATE).
    """
    if period is not Period.CUSTOM:
        if since is not None:
            raise CallError(Code.INVALID_PARAMETER, "`from` goes with the period `custom`", {"path": "$.input.from"})
        to_ms = instant(until, now_ms) if until else now_ms
        return Span(to_ms - _LENGTHS_MS[period], to_ms)
    if since is None:
        raise CallError(Code.INVALID_DATE, "The period `custom` needs `from`", {"path": "$.input.from"})
    return between(since, until, now_ms)


def between(since: datetime | None, until: datetime | None, now_ms: int) -> Span:
    """Return the span between two instants; by default from the beginning of time to now.

    Raises CallError INVALID_TIME_RANGE.
    """
    span = Span(instant(since, now_ms) if since else 0, instant(until, now_ms) if until else now_ms)
    if span.from_ms >= span.to_ms:
        raise refusal("`from` is not before `to`", span)
    return span


def instant(at: datetime, now_ms: int) -> int:
    """Return an instant as ms UTC, floored. Raises CallError INVALID_TIME_RANGE in the future or before 1970."""
    ms = (at - _EPOCH) // _MS
    if ms > now_ms + SKEW_MS:
        raise CallError(
            Code.INVALID_TIME_RANGE, "This lies in the future", {"given": at.isoformat(), "now": iso_ms(now_ms)}
        )
    if ms < 0:
        raise CallError(Code.INVALID_TIME_RANGE, "There are no prices before 1970", {"given": at.isoformat()})
    return min(ms, now_ms)


def refusal(what: str, span: Span) -> CallError:
    """Return the error that refuses a span."""
    return CallError(Code.INVALID_TIME_RANGE, what, {"from": iso_ms(span.from_ms), "to": iso_ms(span.to_ms)})
