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

    `only` asks for one interval. Edges between intervals lie between UTC days.
    """
    if only is not None:
        return [span for span in [_whole(only, from_ms, min(until_ms, now_ms))] if span.buckets > 0]
    hours_from = (now_ms - retention.candle_1hour_days * _DAY_MS) // _DAY_MS * _DAY_MS + _DAY_MS
    fine_from = (now_ms - retention.candle_5min_days * _DAY_MS) // _DAY_MS * _DAY_MS + _DAY_MS
    edges = (
        (Interval.DAY, from_ms, hours_from),
        (Interval.HOUR, max(from_ms, hours_from), fine_from),
        (Interval.FIVE_MINUTES, max(from_ms, fine_from), now_ms),
    )
    found = [_whole(interval, since, min(until_ms, end)) for interval, since, end in edges]
    return [span for span in found if span.buckets > 0]


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
