"""Candles merge like sets of trades: in any order, in any portions."""

from dataclasses import replace
from decimal import Decimal
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.model.candle import Candle, Interval, merged, trade_key


def of_trade(ms: int, number: int, price: int, volume: int) -> Candle:
    """Return the candle of a single trade."""
    key = trade_key("kraken", str(number))
    exact = Decimal(price)
    return Candle(
        pair="btc-usd",
        interval=Interval.FIVE_MINUTES,
        start_ms=0,
        open=exact,
        high=exact,
        low=exact,
        close=exact,
        volume=Decimal(volume),
        quote_volume=exact * volume,
        trades=1,
        opened_ms=ms,
        closed_ms=ms,
        open_key=key,
        close_key=key,
    )


trades = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5)


@given(trades)
def test_any_order_and_any_portions_give_the_same_candle(drawn):
    parts = [of_trade(ms, number, price, volume) for number, (ms, price, volume) in enumerate(drawn)]
    wanted = reduce(Candle.merge, parts)
    assert all(reduce(Candle.merge, order) == wanted for order in permutations(parts))
    half = len(parts) // 2
    assert merged([*merged(parts[half:]), *merged(parts[:half])]) == [wanted]
    first, last = min(drawn, key=lambda trade: trade[0]), max(reversed(drawn), key=lambda trade: trade[0])
    assert (wanted.open, wanted.close) == (first[1], last[1])


def test_candles_of_different_buckets_do_not_merge():
    one = of_trade(0, 1, 1, 1)
    with pytest.raises(ValueError, match="different"):
        one.merge(replace(one, start_ms=300_000))
    assert len(merged([one, replace(one, start_ms=300_000)])) == 2


def test_what_an_exchange_told_us_marks_the_whole():
    one = of_trade(0, 1, 1, 1)
    assert one.merge(replace(one, source="backfill")).source == "backfill"


def test_the_average_is_weighted_by_volume():
    assert of_trade(0, 1, 3, 1).merge(of_trade(1, 2, 9, 2)).vwap == 7
    assert replace(of_trade(0, 1, 3, 1), volume=Decimal(0)).vwap is None


@pytest.mark.parametrize(
    ("one", "other"),
    [(("kraken", "9"), ("kraken", "10")), (("binance", "10"), ("kraken", "9")), (("okx", "a1"), ("okx", "b1"))],
)
def test_trades_of_a_millisecond_go_by_venue_then_by_number(one, other):
    assert trade_key(*one) < trade_key(*other)


@pytest.mark.parametrize("strange", ["\x00", "\ud800", "a\nb"])
def test_a_strange_id_can_be_stored(strange):
    assert trade_key("okx", strange).isprintable()


@pytest.mark.parametrize("interval", Interval)
def test_buckets_begin_at_multiples_of_their_length(interval):
    assert interval.start_ms(interval.ms * 7 + 1) == interval.start_ms(interval.ms * 8 - 1) == interval.ms * 7
