"""One candle of many venues': exact sums, prices by volume, no venue far from the others."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from priceverse.backfill.combine import combined, converted
from priceverse.model.candle import Candle, Interval

FAR = Decimal("0.05")
ONE = Candle(
    "btc-usd", Interval.HOUR, 0, Decimal(100), Decimal(110), Decimal(90), Decimal(105), Decimal(1), Decimal(100), 3, 0,
    3_599_999, "backfill",
)  # fmt: skip


def test_open_and_close_are_weighted_high_and_low_are_extremes_sums_are_sums():
    two = replace(
        ONE, open=Decimal(104), high=Decimal(120), low=Decimal(95), volume=Decimal(3), quote_volume=Decimal(309)
    )
    both = combined([ONE, two], FAR)
    assert (both.open, both.high, both.low, both.close) == (103, 120, 90, 105)
    assert (both.volume, both.quote_volume, both.trades) == (4, 409, 6)


def test_a_venue_far_from_the_median_of_three_is_left_out():
    wild = converted(ONE, Decimal("1.06"))
    assert combined([ONE, wild, ONE], FAR) == replace(combined([ONE, ONE], FAR))
    assert combined([ONE, converted(ONE, Decimal("1.04")), ONE], FAR).high == Decimal("114.4")


def test_of_two_that_differ_nobody_knows_which_is_wrong():
    assert combined([ONE, converted(ONE, Decimal(2))], FAR).volume == 2


def test_roubles_are_the_same_trades_at_another_price():
    roubles = converted(ONE, Decimal("81.25"), "btc-rub")
    assert (roubles.pair, roubles.close, roubles.volume) == ("btc-rub", Decimal("8531.25"), ONE.volume)
    assert (roubles.quote_volume, roubles.vwap) == (Decimal(8125), Decimal(8125))


amounts = st.decimals("0.00000001", "1000000", places=8)


@given(st.lists(st.tuples(*[amounts] * 5), min_size=1, max_size=6))
def test_a_combined_candle_is_a_possible_candle(rows):
    candles = []
    for a, b, c, d, volume in rows:
        low, first, last, high = sorted((a, b, c, d))
        candles.append(
            replace(ONE, open=first, close=last, low=low, high=high, volume=volume, quote_volume=last * volume)
        )
    found = combined(candles, Decimal(10))
    assert found.low <= min(found.open, found.close) <= max(found.open, found.close) <= found.high
