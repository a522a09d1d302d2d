"""Bounded logging."""

from priceverse.collector.throttle import Throttle


def test_one_per_period_and_key_with_the_number_left_out() -> None:
    throttle = Throttle(10.0)
    assert throttle.passes("a", 0.0) == 0
    assert throttle.passes("b", 1.0) == 0
    assert [throttle.passes("a", at_s) for at_s in (1.0, 9.9)] == [None, None]
    assert throttle.passes("a", 10.0) == 2
    assert throttle.passes("a", 30.0) == 0
