"""The token reply decides where the collector connects to: what is believed, what is refused, what stays secret."""

import json

import pytest

from priceverse.exchanges.kucoin import Kucoin
from priceverse.exchanges.protocol import PreludeError, Request

TOKEN = "2neAiuYvAU61+Zx=="


def reply(endpoint="wss://ws-api-spot.kucoin.com/", ping=18000, token=TOKEN, code="200000", **more):
    server = {
        "endpoint": endpoint,
        "encrypt": True,
        "protocol": "websocket",
        "pingInterval": ping,
        "pingTimeout": 10000,
    }
    return json.dumps({"code": code, "data": {"token": token, "instanceServers": [server]}, **more}).encode()


def connect(document, rest_url="https://api.kucoin.com"):
    adapter = Kucoin({"BTC-USDT": "btc-usd"})
    adapter.prelude(rest_url)
    return adapter.endpoint("", document, "pv 1")


def test_the_token_is_asked_for_by_post():
    request = Kucoin({}).prelude("https://api.kucoin.com/")
    assert request == Request("POST", "https://api.kucoin.com/api/v1/bullet-public")


def test_endpoint_token_and_interval_come_from_the_reply():
    endpoint = connect(reply(ping=17_500))
    assert endpoint.url == "wss://ws-api-spot.kucoin.com/?token=2neAiuYvAU61%2BZx%3D%3D&connectId=pv%201"
    assert endpoint.secret == "2neAiuYvAU61%2BZx%3D%3D"
    assert endpoint.secret in endpoint.url
    assert endpoint.ping_interval_s == 17.5
    assert endpoint.wait_welcome


def test_an_endpoint_without_a_path_gets_the_slash_it_needs():
    assert connect(reply("wss://ws-api.kucoin.com")).url.startswith("wss://ws-api.kucoin.com/?token=")
    assert connect(reply("wss://ws-api.kucoin.com:443/endpoint")).url.startswith(
        "wss://ws-api.kucoin.com:443/endpoint?"
    )


def test_a_scheme_in_capitals_is_the_same_scheme():
    assert connect(reply("wSS://ws-api.kucoin.com/")).url.startswith("wss://ws-api.kucoin.com/?token=")


@pytest.mark.parametrize(
    "endpoint",
    [
        "ws://ws-api-spot.kucoin.com/",
        "https://ws-api-spot.kucoin.com/",
        "wss://kucoin.com.evil.example/",
        "wss://evilkucoin.com/",
        "wss://ws-api.kucoin.com@evil.example/",
        "wss://user@ws-api.kucoin.com/",
        "wss://ws-api.kucoin.com/?x=1",
        "wss://ws-api.kucoin.com:port/",
        "wss://[::1/",
        "wss://127.0.0.1/",
        "ws://127.0.0.1:1/",
        " wss://ws-api-spot.kucoin.com/",
        "wss://ws-api\t-spot.kucoin.com/",
        "wss://ws-api-spot.kucoin.com/\r\nHost: evil.example",
        "",
    ],
)
def test_no_foreign_host(endpoint):
    with pytest.raises(PreludeError):
        connect(reply(endpoint))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_loopback_is_believed_of_a_loopback_rest_base_only(host):
    document = reply(f"ws://{host}:8080/kucoin/ws/")
    assert connect(document, f"http://{host}:8080/kucoin").url.startswith(f"ws://{host}:8080/kucoin/ws/?token=")
    secure = reply(f"wss://{host}:8080/kucoin/ws/")
    assert connect(secure, f"https://{host}:8080/kucoin").url.startswith(f"wss://{host}:8080/kucoin/ws/?token=")
    for rest_url in ("https://api.kucoin.com", f"https://{host}:8080", "http://api.example"):
        with pytest.raises(PreludeError):
            connect(document, rest_url)
    with pytest.raises(PreludeError):
        connect(reply("ws://elsewhere.example/"), f"http://{host}:8080")


@pytest.mark.parametrize(
    "document",
    [
        None,
        b"",
        b"\xff",
        b"<html>",
        b"[]",
        b"{}",
        b'{"code":"200000"}',
        b'{"code":200000,"data":{}}',
        b'{"code":"200000","data":{"token":"x","instanceServers":[]}}',
        b'{"code":"200000","data":{"token":"x","instanceServers":[{"endpoint":"wss://a.kucoin.com/"}]}}',
        reply(token=""),
        reply(token=7),
        reply(ping=0),
        reply(ping=10**9),
        reply(ping="18000"),
        reply(endpoint=None),
        b" " * 2_000_000,
    ],
)
def test_an_unusable_reply_is_refused(document):
    with pytest.raises(PreludeError):
        connect(document)


def test_the_refusal_quotes_the_venue_and_never_the_token():
    with pytest.raises(PreludeError, match="400100 too many requests"):
        connect(b'{"code":"400100","msg":"too many requests"}')
    with pytest.raises(PreludeError) as refused:
        connect(reply("wss://evil.example/"))
    assert TOKEN not in str(refused.value)
