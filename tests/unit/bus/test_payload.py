"""The JSON of a live price: complete, exact, and without an exponent."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from priceverse.bus.payload import decode, encode, readable
from priceverse.model.price import Excluded, Method, Price, Source

PRICE = Price(
    pair="btc-rub",
    price=Decimal("5012345.12345678"),
    volume=Decimal("0.00000001"),
    method=Method.MEDIAN,
    sources=("cbr", "kraken"),
    as_of_ms=1,
    computed_ms=2,
    window_start_ms=3,
    window_end_ms=4,
    sequence=5,
    confidence_bps=Decimal("0.00"),
    degraded=True,
    details=(
        Source("kraken", Decimal("1.5"), Decimal("1E+2"), 3, 1, Decimal(1), Decimal("1.5"), Decimal(1), None),
        Source("okx", Decimal(9), Decimal("1E-8"), 1, 0, None, None, Decimal(0), Excluded.NO_CONVERSION),
    ),
    rate=Decimal("78.5"),
)


@pytest.mark.parametrize("price", [PRICE, replace(PRICE, rate=None, details=(), degraded=False)])
def test_what_is_written_is_read(price):
    assert decode(encode(price)) == price
    assert readable(encode(price)) == price


def test_numbers_are_strings_without_an_exponent():
    sent = json.loads(encode(PRICE))
    assert (sent["price"], sent["volume"], sent["confidence"], sent["rate"]) == (
        "5012345.12345678",
        "0.00000001",
        "0.00",
        "78.5",
    )
    assert [detail["volume"] for detail in sent["details"]] == ["100", "0.00000001"]


def test_the_names_are_those_of_the_contract():
    sent = json.loads(encode(PRICE))
    assert list(sent) == [
        *("price", "timestamp", "sources", "pair", "volume", "method", "computedAt", "windowStart", "windowEnd"),
        *("sequence", "confidence", "degraded", "rate", "details"),
    ]
    assert list(sent["details"][0]) == [
        *("exchange", "vwap", "volume", "trades", "last", "conversion", "price", "weight", "excluded"),
    ]


@pytest.mark.parametrize("payload", [None, b"", b"{}", b"nonsense", b'{"price": "1"}', b"\xff"])
def test_something_else_under_the_key_is_no_price(payload):
    assert readable(payload) is None
