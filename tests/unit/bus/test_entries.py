"""What a stream entry carries and what is not one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.bus.entries import BEGINNING, NAMES, Received, StreamId, decode, encode
from priceverse.model.exchange import Side
from priceverse.model.trade import Trade

numbers = st.decimals("0.000000000000000000000001", "99999999999999", places=24).filter(lambda n: n > 0)
names = st.text(min_size=1, max_size=40)


@given(
    st.builds(
        Trade,
        exchange=names,
        pair=st.just("btc-usd"),
        price=numbers,
        volume=numbers,
        timestamp_ms=st.integers(0, 2**53),
        trade_id=names,
        side=st.sampled_from(Side),
    )
)
def test_an_entry_carries_exactly_what_was_received(trade):
    sent = [str(field).encode() for field in encode(Received(trade, 5))]
    entry = decode(b"1700000000000-7", sent)
    assert entry[:3] == ((1_700_000_000_000, 7), trade.exchange, trade.trade_id)
    assert entry[5:] == (trade.timestamp_ms, 5)
    assert (str(entry.price), str(entry.volume)) == (str(trade.price), str(trade.volume))


GOOD = dict(zip(NAMES, (b"kraken", b"1.50", b"2", b"5", b"id", b"buy", b"6"), strict=True))


@pytest.mark.parametrize(
    "spoilt",
    [
        {b"price": b"NaN"},
        {b"price": b"sNaN"},
        {b"price": b"Infinity"},
        {b"price": b"0"},
        {b"volume": b"-1"},
        {b"volume": b""},
        {b"volume": b"1E+9999"},
        {b"volume": b"1" * 500},
        {b"timestamp": b"soon"},
        {b"received": b""},
        {b"exchange": b"\xff"},
        {b"another": b"field"},
    ],
)
def test_what_nobody_of_us_wrote_is_refused(spoilt):
    fields = [part for item in (GOOD | spoilt).items() for part in item]
    with pytest.raises(ValueError):
        decode(b"1-0", fields)


def test_fewer_fields_are_refused():
    with pytest.raises(ValueError):
        decode(b"1-0", [b"exchange", b"kraken"])


def test_ids_are_ordered_and_spelt_as_redis_does():
    assert StreamId.parse(b"12-3") == StreamId.parse("12-3") == (12, 3)
    assert str(StreamId(12, 3)) == "12-3"
    assert StreamId.parse("9-10") < StreamId.parse("10-9")
    assert StreamId(4, 10**9) < StreamId.before(5) < StreamId(5, 0)
    assert StreamId.before(0) == BEGINNING
