"""The simulated Binance in its own words."""

import json

import pytest

from priceverse.model.exchange import Side
from priceverse.simulator.match import NS_PER_S
from priceverse.simulator.venues.binance import Binance
from priceverse.simulator.venues.protocol import Close, Frame, Ping, Request, Response


def request(path: str, **query: str) -> Request:
    return Request("GET", path, query, {})


@pytest.fixture
def venue(history):
    return Binance(history("BTCUSDT", range(100, 110)))


def test_a_trade_is_one_combined_frame_in_the_documented_order(venue, match):
    row = match("BTCUSDT", 3735683259, price="61837.63000000", volume="0.02000000", side=Side.SELL)
    (frame,) = venue.frames([row])
    assert frame.symbols == {"BTCUSDT"}
    assert frame.text == (
        '{"stream":"btcusdt@trade","data":{"e":"trade","E":1790446152678,"s":"BTCUSDT","t":3735683259,'
        '"p":"61837.63000000","q":"0.02000000","T":1790446152678,"m":true,"M":true}}'
    )


def test_every_fill_is_a_frame(venue, match):
    assert len(venue.frames(venue.rows([match("BTCUSDT", n) for n in range(5)]))) == 5


def test_the_url_subscribes_and_unknown_streams_are_silent(venue, now_ns):
    session = venue.session(request("/stream", streams="btcusdt@trade/nosuch@trade/btcusdt@depth"), now_ns)
    assert session.subscribed == {"BTCUSDT", "NOSUCH"}
    assert session.welcome(now_ns) == []


def test_a_raw_connection_gets_bare_payloads(venue, match, now_ns):
    session = venue.session(request("/ws/btcusdt@trade"), now_ns)
    (frame,) = venue.frames([match("BTCUSDT", 5)])
    assert session.subscribed == {"BTCUSDT"}
    assert json.loads(session.text(frame))["t"] == 5
    bare = Frame(frame.symbols, session.text(frame))
    assert venue.session(request("/stream"), now_ns).text(bare) == frame.text


def test_messages_subscribe_list_and_unsubscribe(venue, now_ns):
    session = venue.session(request("/ws"), now_ns)
    subscribe = '{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":"x1"}'
    assert session.receive(subscribe, now_ns) == ['{"result":null,"id":"x1"}']
    assert session.subscribed == {"BTCUSDT"}
    (listed,) = session.receive('{"method":"LIST_SUBSCRIPTIONS","id":3}', now_ns)
    assert json.loads(listed) == {"result": ["btcusdt@trade"], "id": 3}
    session.receive('{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":4}', now_ns)
    assert session.subscribed == set()


@pytest.mark.parametrize(("text", "code"), [("{}", 2), ('{"method":"NOPE","id":1}', 2), ("{", 3), ("[" * 5000, 3)])
def test_nonsense_is_refused_with_a_code(venue, now_ns, text, code):
    (reply,) = venue.session(request("/ws"), now_ns).receive(text, now_ns)
    assert json.loads(reply)["code"] == code


def test_more_than_five_messages_a_second_end_the_connection(venue, now_ns):
    session = venue.session(request("/ws"), now_ns)
    replies = [session.receive('{"method":"LIST_SUBSCRIPTIONS","id":1}', now_ns)[0] for _ in range(6)]
    assert [isinstance(reply, Close) for reply in replies] == [False] * 5 + [True]
    later = venue.session(request("/ws"), now_ns)
    for n in range(20):
        assert not isinstance(later.receive("{}", now_ns + n * NS_PER_S // 4)[0], Close)


def test_the_server_pings_and_cuts_who_does_not_answer(venue, now_ns):
    session = venue.session(request("/ws"), now_ns)
    assert session.tick(now_ns + 19 * NS_PER_S, 0) == []
    (ping,) = session.tick(now_ns + 20 * NS_PER_S, 0)
    assert isinstance(ping, Ping)
    session.pong(now_ns + 21 * NS_PER_S)
    assert isinstance(session.tick(now_ns + 90 * NS_PER_S, 0)[0], Ping)
    assert isinstance(session.tick(now_ns + 102 * NS_PER_S, 0)[0], Close)


def test_historical_trades_go_by_id_and_trades_are_the_latest(venue, now_ns):
    page = json.loads(
        venue.rest(request("/api/v3/historicalTrades", symbol="BTCUSDT", fromId="104", limit="3"), now_ns).body
    )
    assert [row["id"] for row in page] == [104, 105, 106]
    assert list(page[0]) == ["id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"]
    latest = json.loads(venue.rest(request("/api/v3/trades", symbol="BTCUSDT", limit="2"), now_ns).body)
    assert [row["id"] for row in latest] == [108, 109]
    assert len(json.loads(venue.rest(request("/api/v3/historicalTrades", symbol="BTCUSDT"), now_ns).body)) == 10


@pytest.mark.parametrize(("query", "code"), [({"symbol": "XMRUSDT"}, -1121), ({}, -1102)])
def test_rest_refuses_in_the_venues_words(venue, now_ns, query, code):
    response = venue.rest(request("/api/v3/trades", **query), now_ns)
    assert (response.status, json.loads(response.body)["code"]) == (400, code)


def test_other_paths_are_not_found(venue, now_ns):
    assert venue.rest(request("/api/v3/depth"), now_ns).status == 404
    refusal = venue.session(request("/"), now_ns)
    assert isinstance(refusal, Response)
    assert refusal.status == 404
