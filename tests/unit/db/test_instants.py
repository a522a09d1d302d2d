"""Milliseconds to timestamps and back."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from priceverse.db.instants import to_datetime, to_ms

YEAR_9999_MS = 253_402_300_799_999


@given(st.integers(min_value=-62_135_596_800_000, max_value=YEAR_9999_MS))
def test_every_millisecond_survives(ms: int) -> None:
    assert to_ms(to_datetime(ms)) == ms


def test_microseconds_are_floored_also_before_the_epoch() -> None:
    assert to_ms(datetime(1970, 1, 1, 0, 0, 0, 1999, tzinfo=UTC)) == 1
    assert to_ms(datetime(1969, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC)) == -1


def test_another_zone_is_the_same_instant() -> None:
    moscow = timezone(timedelta(hours=3))
    assert to_ms(datetime(1970, 1, 1, 3, tzinfo=moscow)) == 0
