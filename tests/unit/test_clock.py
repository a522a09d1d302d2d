"""Instants as clients read them."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from priceverse.clock import iso_ms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ms", "written"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (59_999, "1970-01-01T00:00:59.999Z"),
        (951_825_600_007, "2000-02-29T12:00:00.007Z"),
        (1_790_446_801_204, "2026-09-26T18:20:01.204Z"),
    ],
)
def test_an_instant_is_written_to_the_millisecond(ms, written):
    assert iso_ms(ms) == written


def test_every_instant_is_read_back_as_it_was():
    for ms in random.Random(1).choices(range(4 * 10**12), k=2000):
        assert datetime.fromisoformat(iso_ms(ms)) == EPOCH + timedelta(milliseconds=ms)
