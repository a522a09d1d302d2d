"""A venue's wild prints are judged by its own median."""

from decimal import Decimal

from priceverse.pricing.venue import Level, venue

FIVE_PERCENT = Decimal("0.05")


def level(price: str, trades: int = 1, volume: str = "1", last_ms: int = 0) -> Level:
    return Level(Decimal(price), Decimal(price) * Decimal(volume), Decimal(volume), trades, last_ms)


def test_one_wild_print_is_left_out_and_the_venue_stays():
    found = venue("okx", [level("50"), level("100", 9, "9", 7), level("101", 1, "1", 8)], FIVE_PERCENT)
    assert (found.trades, found.wild, found.volume, found.last_ms) == (10, 1, Decimal(10), 8)
    assert found.vwap == Decimal("100.1")


def test_a_wild_print_does_not_count_as_the_newest_trade():
    found = venue("okx", [level("100", 9, "9", 7), level("150", 1, "1", 99)], FIVE_PERCENT)
    assert found.last_ms == 7


def test_two_trades_have_no_majority_to_call_one_of_them_wild():
    found = venue("okx", [level("50"), level("100")], FIVE_PERCENT)
    assert (found.trades, found.wild) == (2, 0)


def test_a_venue_that_is_wrong_as_a_whole_is_left_to_the_others():
    found = venue("okx", [level("150", 5), level("151", 5)], FIVE_PERCENT)
    assert (found.trades, found.wild) == (10, 0)


def test_the_limit_itself_is_not_beyond_it():
    found = venue("okx", [level("95"), level("100", 5), level("105"), level("106")], FIVE_PERCENT)
    assert (found.trades, found.wild) == (7, 1)
