"""What each venue is told: where to connect, how to subscribe, how to stay; and what its answers mean for a symbol."""

import json

import pytest

from priceverse.exchanges.protocol import Control, ControlKind, Endpoint
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange

SYMBOLS = {
    Exchange.BINANCE: ["BTCUSDT", "ETHUSDT"],
    Exchange.KRAKEN: ["BTC/USD", "ETH/USD"],
    Exchange.COINBASE: ["BTC-USD", "ETH-USD"],
    Exchange.OKX: ["BTC-USDT", "ETH-USDT"],
    Exchange.BYBIT: ["BTCUSDT", "ETHUSDT"],
    Exchange.KUCOIN: ["BTC-USDT", "ETH-USDT"],
}
ASKED = {
    Exchange.BINANCE: [],
    Exchange.KRAKEN: [
        {
            "method": "subscribe",
            "params": {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"], "snapshot": True},
            "req_id": 1,
        }
    ],
    Exchange.COINBASE: [
        {"type": "subscribe", "product_ids": [product], "channels": ["matches", "heartbeat"]}
        for product in ("BTC-USD", "ETH-USD")
    ],
    Exchange.OKX: [
        {"op": "subscribe", "args": [{"channel": "trades", "instId": instrument}]}
        for instrument in ("BTC-USDT", "ETH-USDT")
    ],
    Exchange.BYBIT: [
        {"req_id": symbol, "op": "subscribe", "args": [f"publicTrade.{symbol}"]} for symbol in ("BTCUSDT", "ETHUSDT")
    ],
    Exchange.KUCOIN: [
        {
            "type": "subscribe",
            "privateChannel": False,
            "response": True,
            "id": symbol,
            "topic": f"/market/match:{symbol}",
        }
        for symbol in ("BTC-USDT", "ETH-USDT")
    ],
}


def make(exchange):
    return ADAPTERS[exchange]({symbol: symbol[:3].lower() + "-usd" for symbol in SYMBOLS[exchange]})


@pytest.mark.parametrize("exchange", list(Exchange))
def test_subscribing(exchange):
    assert [json.loads(text) for text in make(exchange).subscribe(SYMBOLS[exchange])] == ASKED[exchange]


def test_binance_subscribes_in_the_url():
    endpoint = make(Exchange.BINANCE).endpoint("wss://stream.binance.com:9443/", None, "id")
    assert endpoint == Endpoint("wss://stream.binance.com:9443/stream?streams=btcusdt@trade/ethusdt@trade")


def test_a_binance_symbol_in_another_script_is_quoted():
    endpoint = ADAPTERS[Exchange.BINANCE]({"币安USDT": "x-usd"}).endpoint("ws://h", None, "id")
    assert endpoint.url == "ws://h/stream?streams=%E5%B8%81%E5%AE%89usdt@trade"


@pytest.mark.parametrize("exchange", [Exchange.KRAKEN, Exchange.COINBASE, Exchange.OKX, Exchange.BYBIT])
def test_the_configured_url_is_used_as_it_is(exchange):
    adapter = make(exchange)
    assert adapter.prelude("https://rest.example") is None
    assert adapter.endpoint("wss://h:1/path", None, "id").url == "wss://h:1/path"


def test_only_some_venues_want_pings():
    intervals = {name: make(name).endpoint("ws://h", None, "").ping_interval_s for name in Exchange if name != "kucoin"}
    assert intervals == {"binance": None, "kraken": None, "coinbase": None, "okx": 20.0, "bybit": 20.0}
    assert make(Exchange.OKX).ping(1790000000000) == "ping"
    assert json.loads(make(Exchange.BYBIT).ping(1790000000000)) == {"req_id": "1790000000000", "op": "ping"}
    assert json.loads(make(Exchange.KUCOIN).ping(1790000000000)) == {"id": "1790000000000", "type": "ping"}
    assert make(Exchange.KRAKEN).ping(1790000000000) == ""


def test_two_venues_cut_after_a_day():
    assert [name for name in Exchange if make(name).lifetime_s == 86_400.0] == [Exchange.BINANCE, Exchange.KUCOIN]


ANSWERS = [
    (
        "kraken",
        '{"method":"subscribe","success":true,"result":{"channel":"trade","symbol":"BTC/USD"}}',
        "ack",
        "BTC/USD",
    ),
    ("kraken", '{"method":"subscribe","success":true,"result":{"channel":"book","symbol":"BTC/USD"}}', "ack", None),
    ("kraken", '{"method":"subscribe","success":false,"error":"no","symbol":"XMR/ABC"}', "error", "XMR/ABC"),
    ("kraken", '{"error":"Currency pair not supported XMR/ABC"}', "error", "XMR/ABC"),
    ("kraken", '{"Error":"Exceeded msg rate"}', "error", None),
    (
        "coinbase",
        '{"type":"error","message":"Failed to subscribe","reason":"XMR-USD is not a valid product"}',
        "error",
        "XMR-USD",
    ),
    ("coinbase", '{"type":"error","message":"XMR-USD is delisted"}', "error", "XMR-USD"),
    ("coinbase", '{"type":"heartbeat","product_id":"BTC-USD","last_trade_id":17}', "heartbeat", "BTC-USD"),
    ("okx", '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}', "ack", "BTC-USDT"),
    ("okx", '{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}', "ack", None),
    (
        "okx",
        '{"event":"error","code":"60018","msg":"Wrong URL or channel:trades,instId:XMR-USDT doesn\'t exist."}',
        "error",
        "XMR-USDT",
    ),
    ("okx", '{"event":"error","code":"60012","msg":"Invalid request: {\\"instId\\" : \\"BTC-USDT\\"}"}', "error", None),
    ("bybit", '{"success":true,"op":"subscribe","req_id":"BTCUSDT"}', "ack", "BTCUSDT"),
    ("bybit", '{"success":true,"op":"subscribe","req_id":"10001"}', "ack", None),
    ("bybit", '{"success":true,"op":"subscribe"}', "ack", None),
    (
        "bybit",
        '{"success":false,"op":"subscribe","ret_msg":"error:handler not found,topic:publicTrade.XMRUSDT"}',
        "error",
        "XMRUSDT",
    ),
    ("bybit", '{"success":false,"op":"subscribe","ret_msg":"no","req_id":"ETHUSDT"}', "error", "ETHUSDT"),
    ("kucoin", '{"type":"ack","id":"BTC-USDT"}', "ack", "BTC-USDT"),
    ("kucoin", '{"type":"ack","id":"1"}', "ack", None),
    ("kucoin", '{"type":"error","id":"ETH-USDT","code":404,"data":"not found"}', "error", "ETH-USDT"),
    (
        "kucoin",
        '{"type":"error","id":"1","code":404,"data":"topic /market/match:XMR-USDT is not found"}',
        "error",
        "XMR-USDT",
    ),
    ("kucoin", '{"type":"error","id":"1","code":401,"data":"token is expired"}', "error", None),
]


@pytest.mark.parametrize(("exchange", "frame", "kind", "symbol"), ANSWERS)
def test_an_answer_names_its_symbol_where_the_venue_does(exchange, frame, kind, symbol):
    [control] = make(Exchange(exchange)).receive(frame)
    assert isinstance(control, Control)
    assert (control.kind, control.symbol) == (kind, symbol)


def test_errors_carry_the_venues_own_words():
    [control] = make(Exchange.KUCOIN).receive('{"type":"error","id":"1","code":401,"data":"token is expired"}')
    assert control.detail == "401 token is expired"
    [control] = make(Exchange.BINANCE).receive('{"error":{"code":2,"msg":"Invalid request"},"id":1}')
    assert control.detail == "2 Invalid request"
    [control] = make(Exchange.COINBASE).receive('{"type":"error","message":"Failed","reason":"' + "x" * 5000 + '"}')
    assert 50 < len(control.detail) <= 200


def test_a_coinbase_ack_names_each_product_of_the_matches_channel():
    frame = {
        "type": "subscriptions",
        "channels": [
            {"name": "heartbeat", "product_ids": ["XMR-USD"]},
            {"name": "matches", "product_ids": ["BTC-USD", "ETH-USD"]},
        ],
    }
    assert make(Exchange.COINBASE).receive(json.dumps(frame)) == [
        Control(ControlKind.ACK, "BTC-USD"),
        Control(ControlKind.ACK, "ETH-USD"),
    ]


def test_kraken_says_how_it_feels():
    [control] = make(Exchange.KRAKEN).receive('{"channel":"status","data":[{"system":"maintenance"}]}')
    assert control == Control(ControlKind.STATUS, detail="maintenance")
