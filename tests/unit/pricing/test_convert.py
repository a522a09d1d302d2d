"""Conversions and rates: missing is missing, tomorrow is not today."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from priceverse.model.rate import Rate
from priceverse.pricing.convert import REFERENCE_MAX_AGE_MS, Conversions, RateFault, Rates, conversion


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def rate(day: str, usd: str = "80") -> Rate:
    return Rate(Decimal(usd), date.fromisoformat(day), 0)


def test_a_conversion_is_finite_and_not_rounded_to_what_is_stored():
    assert conversion(Decimal(1) / Decimal(3)) == Decimal("0.33333333333333333333")


def test_an_instant_is_converted_by_itself_or_by_the_last_one_that_is_young_enough():
    known = Conversions()
    known.add(100_000, Decimal("0.99"), 95_000)
    known.add(110_000, Decimal("1.01"), 105_000)
    assert [known.at(at) for at in (99_999, 100_000, 109_999, 110_000)] == [
        None,
        Decimal("0.99"),
        Decimal("0.99"),
        Decimal("1.01"),
    ]
    assert known.at(105_000 + REFERENCE_MAX_AGE_MS) == Decimal("1.01")
    assert known.at(105_001 + REFERENCE_MAX_AGE_MS) is None


def test_forgetting_spares_what_a_later_instant_can_need():
    known = Conversions()
    for at in range(0, 200_000, 10_000):
        known.add(at, Decimal(at), at)
    known.forget(150_000)
    assert known.at(150_000) == 150_000
    assert known.at(100_000) == 100_000
    assert known.at(90_000) is None


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-03-10T20:59:59", "2026-03-10"),  # 23:59:59 in Moscow
        ("2026-03-10T21:00:00", "2026-03-11"),
        ("2026-03-15T20:59:59", "2026-03-11"),
    ],
)
def test_the_rate_in_force_is_that_of_the_day_in_moscow(now, day):
    known = Rates((rate("2026-03-10"), rate("2026-03-11", "81")), max_age_days=4)
    assert known.in_force(ms(now)).date == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("known", "fault"),
    [
        ((), RateFault.MISSING),
        ((rate("2026-03-12"),), RateFault.MISSING),
        ((rate("2026-03-05"),), RateFault.STALE),
    ],
)
def test_no_rate_in_force_has_a_reason(known, fault):
    assert Rates(known, max_age_days=4).in_force(ms("2026-03-10T12:00:00")) is fault


def test_a_rate_of_four_days_ago_is_still_good():
    assert Rates((rate("2026-03-06"),), max_age_days=4).in_force(ms("2026-03-10T12:00:00")) == rate("2026-03-06")


def test_what_is_known_of_the_past_is_kept_and_the_newer_word_wins():
    known = Rates((rate("2026-03-09"), rate("2026-03-10"))).including([rate("2026-03-10", "82"), rate("2026-03-11")])
    assert known.known == (rate("2026-03-09"), rate("2026-03-10", "82"), rate("2026-03-11"))
