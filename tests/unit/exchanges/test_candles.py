"""Venues' candles: exact digits, the right columns, only the range, and PageError for whatever else comes."""

import json
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priceverse.exchanges.candles import CANDLES
from priceverse.exchanges.protocol import PageError
from priceverse.model.candle import Candle, Interval
from priceverse.model.exchange import Exchange

T = 1_790_000_100_000
S = T // 1000
FIVE, HOUR, DAY = Interval
SYMBOLS = {
    Exchange.BINANCE: "BTCUSDT",
    Exchange.KRAKEN: "BTC/USD",
    Exchange.COINBASE: "BTC-USD",
    Exchange.OKX: "BTC-USDT",
    Exchange.BYBIT: "BTCUSDT",
    Exchange.KUCOIN: "BTC-USDT",
}
OHLC, V, Q = '"64000.10","64100.00","63900.00","64050.50"', '"12.50"', '"800500.25"'
REPLIES = {
    Exchange.BINANCE: f'[[{T},{OHLC},{V},{T + 299_999},{Q},321,"6","9","0"]]',
    Exchange.KRAKEN: f'{{"error":[],"result":{{"XXBTZUSD":[[{S},{OHLC},"64040.02",{V},321]],"last":{S}}}}}',
    Exchange.COINBASE: f"[[{S},63900.00,64100.00,64000.10,64050.50,12.50]]",
    Exchange.OKX: f'{{"code":"0","msg":"","data":[["{T}",{OHLC},{V},{Q},{Q},"1"]]}}',
    Exchange.BYBIT: f'{{"retCode":0,"retMsg":"OK","result":{{"list":[["{T}",{OHLC},{V},{Q}]]}}}}',
    Exchange.KUCOIN: f'{{"code":"200000","data":[["{S}","64000.10","64050.50","64100.00","63900.00",{V},{Q}]]}}',
}
REFUSALS = {
    Exchange.BINANCE: '{"code":-1121,"msg":"Invalid symbol."}',
    Exchange.KRAKEN: '{"error":["EQuery:Unknown asset pair"]}',
    Exchange.COINBASE: '{"message":"NotFound"}',
    Exchange.OKX: '{"code":"51001","msg":"Instrument ID does not exist","data":[]}',
    Exchange.BYBIT: '{"retCode":10001,"retMsg":"Not supported symbols","result":{}}',
    Exchange.KUCOIN: '{"code":"400100","msg":"This pair is not provided at present"}',
}
each_venue = pytest.mark.parametrize("exchange", list(Exchange))


def read(exchange, reply, from_ms=T, until_ms=T + FIVE.ms):
    text = reply if isinstance(reply, bytes) else reply.encode()
    return CANDLES[exchange].read("btc-usd", FIVE, from_ms, until_ms, text)


def asked(exchange, interval=FIVE, buckets=2):
    from_ms = T - T % interval.ms
    request = CANDLES[exchange].request(
        "https://rest.example/", SYMBOLS[exchange], interval, from_ms, from_ms + buckets * interval.ms
    )
    parts = urlsplit(request.url)
    return f"{request.method} {parts.path}", {key: value for key, (value,) in parse_qs(parts.query).items()}


@each_venue
def test_a_reply_gives_the_candle_with_its_exact_digits(exchange):
    (candle,) = read(exchange, REPLIES[exchange])
    quote = {
        Exchange.KRAKEN: Decimal("64040.02") * Decimal("12.50"),
        Exchange.COINBASE: Decimal("256050.60") / 4 * Decimal("12.50"),
    }.get(exchange, Decimal("800500.25"))
    assert candle == Candle(
        "btc-usd", FIVE, T, Decimal("64000.10"), Decimal("64100.00"), Decimal("63900.00"), Decimal("64050.50"),
        Decimal("12.50"), candle.quote_volume, 0 if exchange in NOT_COUNTING else 321, T, T + 299_999, "backfill",
    )  # fmt: skip
    assert abs(candle.quote_volume - quote) < Decimal("1e-6")


NOT_COUNTING = {Exchange.COINBASE, Exchange.OKX, Exchange.BYBIT, Exchange.KUCOIN}


@each_venue
def test_a_refusal_is_told_in_the_venues_words(exchange):
    with pytest.raises(PageError, match=r"[A-Za-z]{4}"):
        read(exchange, REFUSALS[exchange])


@each_venue
def test_only_the_range_is_read_and_a_bucket_without_volume_is_no_candle(exchange):
    assert read(exchange, REPLIES[exchange], T + FIVE.ms, T + 9 * FIVE.ms) == []
    assert read(exchange, REPLIES[exchange].replace("12.50", "0.000")) == []


@each_venue
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("64100.00", "63950.00"),
        ("64100.00", "-1"),
        ("64000.10", "NaN"),
        (str(S), str(S + 1)),
        ("12.50", "x"),
    ],
)
def test_one_impossible_row_refuses_the_whole_reply(exchange, good, bad):
    if bad in {"NaN", "x"} and exchange is Exchange.COINBASE:
        bad = f'"{bad}"'
    with pytest.raises(PageError):
        read(exchange, REPLIES[exchange].replace(good, bad))


@each_venue
@settings(deadline=None, max_examples=40)
@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_whatever_comes_is_candles_or_a_page_error(exchange, reply):
    try:
        assert read(exchange, reply) == []
    except PageError:
        return


SPAN = {"startTime": T, "endTime": T + 599_999, "limit": 1000}
REQUESTS = {
    Exchange.BINANCE: ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "5m", **SPAN}),
    Exchange.KRAKEN: ("/0/public/OHLC", {"pair": "XBTUSD", "interval": 5, "since": S - 1}),
    Exchange.COINBASE: (
        "/products/BTC-USD/candles",
        {"start": "2026-09-21T14:15:00Z", "end": "2026-09-21T14:20:00Z", "granularity": 300},
    ),
    Exchange.OKX: (
        "/api/v5/market/history-candles",
        {"instId": "BTC-USDT", "bar": "5m", "after": T + 600_000, "before": T - 1, "limit": 100},
    ),
    Exchange.BYBIT: (
        "/v5/market/kline",
        {"category": "spot", "symbol": "BTCUSDT", "interval": 5, "start": T, "end": T + 599_999, "limit": 1000},
    ),
    Exchange.KUCOIN: (
        "/api/v1/market/candles",
        {"symbol": "BTC-USDT", "type": "5min", "startAt": S, "endAt": S + 600},
    ),
}


@each_venue
def test_a_request_asks_for_the_whole_buckets(exchange):
    path, query = REQUESTS[exchange]
    assert asked(exchange) == (f"GET {path}", {key: str(value) for key, value in query.items()})


def test_days_are_utc_days_everywhere():
    assert [asked(each, DAY)[1].get(key) for each, key in ((Exchange.OKX, "bar"), (Exchange.BYBIT, "interval"))] == [
        "1Dutc", "D",
    ]  # fmt: skip
