"""What to ask for: the buckets of a range that are empty, in portions, at the finest interval that is kept. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from priceverse.config.settings import Retention
from priceverse.model.candle import Interval

PORTION = 300
"""Buckets asked for at once: a request or a few per venue, stored together."""

_DAY_MS = Interval.DAY.ms


@dataclass(frozen=True, slots=True)
class Span:
    """The buckets of an interval that begin in [from_ms, until_ms)."""

    interval: Interval
    from_ms: int
    until_ms: int

    @property
    def buckets(self) -> int:
        return (self.until_ms - self.from_ms) // self.interval.ms


def spans(from_ms: int, until_ms: int, now_ms: int, retention: Retention, only: Interval | None = None) -> list[Span]:
    """Return the closed buckets of a range, each part at the finest interval still kept, oldest first.

    `only` asks for one interval, where it is kept: older hours and days, made of trades, would be rolled up anew from
    what an exchange says. Edges between intervals lie between UTC days.
    """
    since = {interval: max(from_ms, kept_from_ms(interval, now_ms, retention)) for interval in Interval}
    ends = {
        Interval.DAY: since[Interval.HOUR],
        Interval.HOUR: since[Interval.FIVE_MINUTES],
        Interval.FIVE_MINUTES: now_ms,
    }
    if only:
        ends = {only: now_ms}
    found = [_whole(interval, since[interval], min(until_ms, end)) for interval, end in ends.items()]
    return [span for span in found if span.buckets > 0]


def kept_from_ms(interval: Interval, now_ms: int, retention: Retention) -> int:
    """Return since when all candles of an interval are kept, at the beginning of a UTC day; those of days for ever."""
    days = {Interval.FIVE_MINUTES: retention.candle_5min_days, Interval.HOUR: retention.candle_1hour_days}
    return (now_ms // _DAY_MS - days[interval] + 1) * _DAY_MS if interval in days else 0


def holes(span: Span, starts: Sequence[int], most: int = PORTION) -> Iterator[Span]:
    """Yield the runs of empty buckets of a span, newest first, none longer than `most` buckets.

    `starts` are the buckets that there are, in order.
    """
    edges = [span.from_ms - span.interval.ms, *starts, span.until_ms]
    for before, after in reversed(list(pairwise(edges))):
        first = before + span.interval.ms
        for until_ms in range(after, first, -most * span.interval.ms):
            yield Span(span.interval, max(first, until_ms - most * span.interval.ms), until_ms)


def _whole(interval: Interval, from_ms: int, until_ms: int) -> Span:
    """Return the whole buckets inside a range."""
    return Span(interval, -(-from_ms // interval.ms) * interval.ms, until_ms // interval.ms * interval.ms)
