"""Dates, jumps and what is kept; the calendar cases are the bank's real habits."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.model.rate import Rate
from priceverse.rates.policy import AHEAD_MOST, Verdict, in_force, judge, kept, last_good, merged

FRIDAY = date(2026, 9, 25)
JUMP = Decimal("0.2")


def rate(usd: str, day: date = FRIDAY, fetched_ms: int = 0) -> Rate:
    return Rate(Decimal(usd), day, fetched_ms)


def after(days: int) -> date:
    return FRIDAY + timedelta(days=days)


def test_tomorrows_rate_is_stored_but_not_applied() -> None:
    known = merged([rate("80"), rate("81", after(1))])
    assert in_force(known, FRIDAY) == rate("80")
    assert in_force(known, after(1)) == rate("81", after(1))
    assert kept(known, FRIDAY) == known
    assert kept(known, after(1)) == known


def test_only_the_rate_before_the_one_in_force_is_kept_of_the_past() -> None:
    """The last rows of a day are written when the next one has begun."""
    known = merged([rate("79", after(-1)), rate("80"), rate("81", after(1)), rate("82", after(2))])
    assert kept(known, after(1)) == known[1:]


def test_saturdays_rate_serves_sunday_and_monday() -> None:
    known = (rate("81", after(1)), rate("82", after(4)))
    assert [in_force(known, after(day)) for day in (2, 3)] == [known[0]] * 2


def test_before_the_first_date_nothing_is_in_force_and_nothing_is_lost() -> None:
    known = (rate("81", after(1)),)
    assert in_force(known, FRIDAY) is None
    assert kept(known, FRIDAY) == known


def test_a_rate_of_any_age_is_kept() -> None:
    assert kept((rate("80"),), after(400)) == (rate("80"),)


@pytest.mark.parametrize(
    ("usd", "verdict"),
    [
        ("80", Verdict.ACCEPTED),
        ("96", Verdict.ACCEPTED),  # exactly a fifth up
        ("96.0001", Verdict.HELD),
        ("64", Verdict.ACCEPTED),  # exactly a fifth down
        ("63.9999", Verdict.HELD),
        ("8000", Verdict.HELD),
        ("0.008", Verdict.HELD),
    ],
)
def test_a_jump_is_held(usd: str, verdict: Verdict) -> None:
    assert judge((rate("80"),), rate(usd, after(1)), FRIDAY, JUMP) is verdict


def test_a_correction_of_the_same_day_is_measured_against_that_day() -> None:
    known = (rate("80"), rate("95", after(1)))
    assert judge(known, rate("97", after(1)), FRIDAY, JUMP) is Verdict.ACCEPTED
    assert judge(known, rate("97"), FRIDAY, JUMP) is Verdict.HELD


def test_the_first_rate_ever_is_believed() -> None:
    assert judge((), rate("1000000"), FRIDAY, JUMP) is Verdict.ACCEPTED


def test_yesterdays_document_changes_nothing() -> None:
    assert judge((rate("80"),), rate("80", after(-1)), FRIDAY, JUMP) is Verdict.OUTDATED


def test_without_a_rate_in_force_an_older_day_is_measured_against_the_first_known() -> None:
    known = (rate("81", after(1)),)
    assert last_good(known, FRIDAY) == known[0]
    assert judge(known, rate("80"), FRIDAY, JUMP) is Verdict.ACCEPTED
    assert judge(known, rate("8"), FRIDAY, JUMP) is Verdict.HELD


def test_a_date_beyond_any_calendar_is_refused() -> None:
    assert judge((), rate("80", FRIDAY + AHEAD_MOST), FRIDAY, JUMP) is Verdict.ACCEPTED
    assert judge((), rate("80", FRIDAY + AHEAD_MOST + timedelta(days=1)), FRIDAY, JUMP) is Verdict.TOO_EARLY


def test_of_two_rates_for_one_day_the_one_read_last_stands() -> None:
    older, newer = rate("80", fetched_ms=1), rate("81", fetched_ms=2)
    assert merged([older], [newer]) == merged([newer], [older]) == (newer,)


rates = st.lists(
    st.builds(rate, st.sampled_from(["80", "81", "90"]), st.integers(-40, 40).map(after), st.integers(0, 3))
)


@given(rates, st.integers(-50, 50).map(after))
def test_keeping_never_changes_what_is_in_force_now_or_later(many: list[Rate], today: date) -> None:
    known = merged(many)
    assert [each.date for each in known] == sorted({each.date for each in many})
    for later in (today, today + timedelta(days=1), today + timedelta(days=30)):
        assert in_force(kept(known, today), later) == in_force(known, later)
