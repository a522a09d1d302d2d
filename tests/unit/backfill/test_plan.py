"""What is asked for: every empty bucket once, at the finest interval that is still kept."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from priceverse.backfill.plan import Span, holes, kept_from_ms, spans
from priceverse.config.settings import Retention
from priceverse.model.candle import Interval

FIVE, HOUR, DAY = Interval
NOW = 1_790_000_000_000
TODAY = NOW // DAY.ms * DAY.ms


@given(st.sets(st.integers(0, 199)), st.integers(1, 50))
def test_holes_are_exactly_the_empty_buckets_newest_first(full, most):
    span = Span(FIVE, TODAY, TODAY + 200 * FIVE.ms)
    found = list(holes(span, sorted(TODAY + n * FIVE.ms for n in full), most))
    buckets = [start for hole in found for start in range(hole.from_ms, hole.until_ms, FIVE.ms)]
    assert sorted(buckets) == [TODAY + n * FIVE.ms for n in range(200) if n not in full]
    assert all(0 < hole.buckets <= most for hole in found)
    assert found == sorted(found, key=lambda hole: -hole.from_ms)


@given(st.integers(0, 500 * DAY.ms), st.integers(0, 500 * DAY.ms))
def test_a_range_is_covered_without_overlap_by_the_finest_kept(back, length):
    rule = Retention(candle_5min_days=30, candle_1hour_days=365)
    found = spans(NOW - back, NOW - back + length, NOW, rule)
    assert [span.interval for span in found] == sorted({span.interval for span in found}, key=[DAY, HOUR, FIVE].index)
    for before, after in pairwise(found):
        assert before.until_ms == after.from_ms
    for span in found:
        kept_days = {FIVE: 30, HOUR: 365, DAY: 10**6}[span.interval]
        assert span.from_ms > NOW - kept_days * DAY.ms
        assert span.from_ms % span.interval.ms == span.until_ms % span.interval.ms == 0
        assert span.until_ms <= NOW


def test_a_recent_week_is_asked_for_in_five_minutes_up_to_the_last_closed_bucket():
    (span,) = spans(NOW - 7 * DAY.ms, NOW + DAY.ms, NOW, Retention())
    assert (span.interval, span.until_ms) == (FIVE, NOW // FIVE.ms * FIVE.ms)


def test_one_interval_can_be_asked_for():
    assert spans(TODAY - DAY.ms + 1, NOW, NOW, Retention(), HOUR) == [
        Span(HOUR, TODAY - DAY.ms + HOUR.ms, NOW // HOUR.ms * HOUR.ms)
    ]
    assert spans(NOW - FIVE.ms, NOW, NOW, Retention(), DAY) == []


def test_one_interval_is_asked_for_where_it_is_kept_only():
    """Older hours and days are made of trades: what an exchange says of their five minutes must not replace them."""
    rule = Retention(candle_5min_days=30)
    (span,) = spans(TODAY - 100 * DAY.ms, NOW, NOW, rule, FIVE)
    assert span.from_ms == kept_from_ms(FIVE, NOW, rule) == TODAY - 29 * DAY.ms
    assert spans(TODAY - 100 * DAY.ms, TODAY - 60 * DAY.ms, NOW, rule, FIVE) == []
