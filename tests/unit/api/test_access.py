"""How much is logged of requests that fail."""

from priceverse.api.access import Ration


def test_a_flood_is_counted_instead_of_written():
    ration = Ration(3)
    assert [ration.take(7.0 + i / 100) for i in range(5)] == [0, 0, 0, None, None]
    assert ration.take(8.0) == 2
    assert ration.take(8.5) == 0
