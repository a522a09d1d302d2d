"""Spans: which instants a period means, and which spans are refused with which code."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from priceverse.rpc.errors import CallError
from priceverse.services.spans import Period, Span, between, instant, of_period
from tests.fakes.ports import NOW_MS

NOW = datetime.fromtimestamp(NOW_MS / 1000, tz=UTC)
DAY_MS = 86_400_000


def refused(make, *given):
    with pytest.raises(CallError) as error:
        make(*given, NOW_MS)
    return error.value.code


@pytest.mark.parametrize(("period", "days"), [("24hours", 1), ("7days", 7), ("30days", 30)])
def test_a_period_ends_now(period, days):
    assert of_period(Period(period), None, None, NOW_MS) == Span(NOW_MS - days * DAY_MS, NOW_MS)


def test_or_when_it_is_told_to():
    until = NOW - timedelta(days=2)
    assert of_period(Period.DAY, None, until, NOW_MS) == Span(NOW_MS - 3 * DAY_MS, NOW_MS - 2 * DAY_MS)


def test_a_custom_period_is_between_its_instants():
    since, until = NOW - timedelta(hours=5), NOW - timedelta(hours=2)
    assert of_period(Period.CUSTOM, since, until, NOW_MS).length_ms == 3 * 3_600_000
    assert of_period(Period.CUSTOM, since, None, NOW_MS).to_ms == NOW_MS


def test_offsets_are_understood():
    moscow = NOW.astimezone(timezone(timedelta(hours=3))) - timedelta(hours=1)
    assert between(moscow, None, NOW_MS).from_ms == NOW_MS - 3_600_000


def test_a_clock_that_is_a_little_ahead_means_now():
    assert instant(NOW + timedelta(seconds=30), NOW_MS) == NOW_MS


@pytest.mark.parametrize(
    ("period", "since", "until", "code"),
    [
        ("custom", None, None, "VALIDATION_4003"),
        ("custom", None, -1, "VALIDATION_4003"),
        ("7days", -5, None, "VALIDATION_4004"),
        ("custom", -1, -1, "CHART_2002"),
        ("custom", -1, -2, "CHART_2002"),
        ("custom", 2, None, "CHART_2002"),
        ("custom", -2, 2, "CHART_2002"),
        ("24hours", None, 2, "CHART_2002"),
        ("custom", 0, None, "CHART_2002"),
    ],
)
def test_what_makes_no_sense_is_refused(period, since, until, code):
    at = [None if hours is None else NOW + timedelta(hours=hours) for hours in (since, until)]
    assert refused(of_period, Period(period), *at) == code


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00", "1969-12-31T23:59:59Z"])
def test_the_ends_of_the_calendar_are_refused_like_any_other_day(at):
    assert refused(between, datetime.fromisoformat(at), None) == "CHART_2002"


def test_without_an_instant_time_has_no_beginning():
    assert between(None, None, NOW_MS) == Span(0, NOW_MS)
