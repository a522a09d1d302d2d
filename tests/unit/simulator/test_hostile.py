"""Whatever a client says, a venue answers; nothing it says can end the simulator."""

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priceverse.model.exchange import Exchange
from priceverse.simulator.faults import Faults
from priceverse.simulator.history import History
from priceverse.simulator.hub import Hub
from priceverse.simulator.market import VENUES
from priceverse.simulator.routes import respond, upgrade
from priceverse.simulator.venues.protocol import Close, Ping, Request, Response

NOW_NS = 1_790_446_152_678_901_234
ENVELOPE = [
    "method",
    "op",
    "type",
    "params",
    "args",
    "id",
    "req_id",
    "channel",
    "channels",
    "symbol",
    "instId",
    "topic",
]
ORDERS = [
    "product_ids",
    "response",
    "name",
    "subscribe",
    "SUBSCRIBE",
    "unsubscribe",
    "ping",
    "trade",
    "trades",
    "matches",
]
NAMES = ["BTC/USD", "BTC-USD", "BTC-USDT", "publicTrade.BTCUSDT", "/market/match:BTC-USDT", "btcusdt@trade"]
WORDS = st.sampled_from([*ENVELOPE, *ORDERS, *NAMES])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6), max_leaves=12
)
SURROGATE = st.just('{"op":"subscribe","method":"subscribe","args":["\\ud800"],"id":"\\ud800"}')
MESSAGES = st.text(max_size=200) | SURROGATE | DOCUMENTS.map(json.dumps)
VALUES = st.text(max_size=40) | WORDS | st.integers().map(str) | st.just("9" * 5000)
QUERIES = st.dictionaries(
    st.sampled_from(["symbol", "fromId", "limit", "pair", "since", "count", "instId", "after", "before", "category"])
    | st.sampled_from(["date_req", "token", "streams"]),
    VALUES,
    max_size=5,
)
PATHS = st.sampled_from(
    [
        "/binance/api/v3/historicalTrades",
        "/kraken/0/public/Trades",
        "/coinbase/products/BTC-USD/trades",
        "/okx/api/v5/market/history-trades",
        "/bybit/v5/market/recent-trade",
        "/kucoin/api/v1/market/histories",
        "/kucoin/api/v1/bullet-public",
        "/cbr/XML_daily.asp",
        "/control/faults",
        "/binance/stream",
        "/kucoin/ws/",
    ]
)


def hub() -> Hub:
    symbols = ["BTCUSDT", "BTC/USD", "BTC-USD", "BTC-USDT"]
    return Hub({exchange: make(History(symbols)) for exchange, make in VENUES.items()}, Faults(Random(0)))


def session_of(exchange: Exchange):
    venue = VENUES[exchange](History(["BTCUSDT", "BTC/USD", "BTC-USD", "BTC-USDT"]))
    path = {Exchange.BINANCE: "/ws", Exchange.KUCOIN: "/ws/"}.get(exchange, "")
    return venue.session(Request("GET", path, {}, {}), NOW_NS)


@pytest.mark.parametrize("exchange", Exchange)
@settings(deadline=None)
@given(messages=st.lists(MESSAGES, max_size=5))
def test_any_message_is_answered(exchange, messages):
    session = session_of(exchange)
    for message in messages:
        for output in session.receive(message, NOW_NS):
            assert isinstance(output, str | Ping | Close)
            if isinstance(output, str):
                assert output.encode()
    session.tick(NOW_NS, 0)


@settings(deadline=None)
@given(path=PATHS | st.text(max_size=30).map(lambda text: f"/{text}"), query=QUERIES, body=MESSAGES)
def test_any_request_is_answered(path, query, body):
    for method in ("GET", "POST"):
        assert isinstance(respond(Request(method, path, query, {}, body.encode()), hub(), NOW_NS), Response)
    assert upgrade(Request("GET", path, query, {}), hub(), NOW_NS)


def test_a_date_before_there_was_a_rate_is_a_bad_request():
    reply = respond(Request("GET", "/cbr/XML_daily.asp", {"date_req": "01/01/0001"}, {}), hub(), NOW_NS)
    assert b"Error in parameters" in reply.body
