"""When rows are complete and when live prices are due."""

import pytest

from priceverse.pricing.schedule import Grid, Pace

GRID = Grid(interval_ms=10_000, window_ms=30_000, lateness_ms=2_000)


@pytest.mark.parametrize(
    ("position_ms", "instant_ms"), [(100_000, 100_000), (101_999, 100_000), (102_000, 110_000), (112_000, 120_000)]
)
def test_the_next_row_is_the_first_that_is_not_complete(position_ms, instant_ms):
    assert GRID.first_after(position_ms) == instant_ms
    assert GRID.closes_ms(instant_ms) > position_ms


@pytest.mark.parametrize("lateness_ms", [0, 2_000, 25_000])
def test_after_a_row_is_complete_comes_the_next(lateness_ms):
    grid = Grid(10_000, 30_000, lateness_ms)
    assert grid.first_after(grid.closes_ms(100_000)) == 110_000
    assert grid.first_after(grid.closes_ms(100_000) - 1) == 100_000


@pytest.mark.parametrize(
    ("now_ms", "published_ms", "fresh", "due"),
    [
        (1000, None, False, True),
        (1249, 1000, True, False),
        (1250, 1000, True, True),
        (1250, 1000, False, False),
        (1999, 1000, False, False),
        (2000, 1000, False, True),
        (900, 1000, False, True),  # the clock went back
    ],
)
def test_new_prices_at_a_pace_and_old_ones_as_a_heartbeat(now_ms, published_ms, fresh, due):
    assert Pace(publish_ms=250, heartbeat_ms=1000).is_due(now_ms, published_ms, fresh=fresh) is due
