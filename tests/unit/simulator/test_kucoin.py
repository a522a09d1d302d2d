"""The simulated KuCoin in its own words."""

import json

import pytest

from priceverse.simulator.match import NS_PER_S
from priceverse.simulator.venues.kucoin import Kucoin
from priceverse.simulator.venues.protocol import Close, Request, Response

SUBSCRIBE = '{"id":"s1","type":"subscribe","topic":"/market/match:%s","privateChannel":false,"response":true}'


@pytest.fixture
def venue(history):
    return Kucoin(history("BTC-USDT", range(1024, 1024 * 200, 1024)))


def bullet(venue, now_ns, method: str = "POST") -> Response:
    return venue.rest(Request(method, "/api/v1/bullet-public", {}, {"host": "127.0.0.1:9"}), now_ns)


def connect(venue, now_ns, token: str):
    return venue.session(Request("GET", "/ws/", {"token": token, "connectId": "c1"}, {}), now_ns)


@pytest.fixture
def token(venue, now_ns):
    return json.loads(bullet(venue, now_ns).body)["data"]["token"]


@pytest.fixture
def session(venue, now_ns, token):
    return connect(venue, now_ns, token)


def test_a_trade_is_one_message_with_nanoseconds(venue, match):
    (frame,) = venue.frames([match("BTC-USDT", 23715934308417536, price="65215.6", volume="0.04915634")])
    document = json.loads(frame.text)
    assert (document["topic"], document["subject"]) == ("/market/match:BTC-USDT", "trade.l3match")
    data = document["data"]
    assert (data["time"], data["tradeId"], data["sequence"]) == (
        "1790446152678000000",
        "23715934308417536",
        "23715934308417536",
    )
    assert (data["price"], data["size"], data["side"], data["type"]) == ("65215.6", "0.04915634", "buy", "match")


def test_the_token_comes_by_post_with_the_place_to_connect_to(venue, now_ns):
    data = json.loads(bullet(venue, now_ns).body)["data"]
    (server,) = data["instanceServers"]
    assert server["endpoint"] == "ws://127.0.0.1:9/kucoin/ws/"
    assert (server["pingInterval"], server["pingTimeout"]) == (18000, 10000)
    assert json.loads(bullet(venue, now_ns).body)["data"]["token"] != data["token"]


def test_get_is_refused(venue, now_ns):
    assert json.loads(bullet(venue, now_ns, "GET").body)["code"] == "405000"


def test_a_token_opens_one_connection(venue, now_ns, token):
    first, second = connect(venue, now_ns, token), connect(venue, now_ns, token)
    assert [json.loads(frame) for frame in first.welcome(now_ns)] == [{"id": "c1", "type": "welcome"}]
    refusal, close = second.welcome(now_ns)
    assert json.loads(refusal) == {"id": "c1", "type": "error", "code": 401, "data": "token is invalid"}
    assert isinstance(close, Close)


def test_a_token_lives_a_day(venue, now_ns, token):
    late_ns = now_ns + 24 * 3600 * NS_PER_S
    assert len(connect(venue, late_ns, token).welcome(late_ns)) == 2


def test_tokens_that_nobody_uses_are_bounded(venue, now_ns, token):
    for _ in range(1000):
        bullet(venue, now_ns)
    assert len(connect(venue, now_ns, token).welcome(now_ns)) == 2


@pytest.mark.parametrize("path", ["", "/", "/ws", "/other/"])
def test_without_its_path_the_handshake_answers_400(venue, now_ns, path):
    refusal = venue.session(Request("GET", path, {}, {}), now_ns)
    assert isinstance(refusal, Response)
    assert refusal.status == 400


def test_subscribing_is_acknowledged_with_its_id(session, now_ns):
    assert session.receive(SUBSCRIBE % "BTC-USDT", now_ns) == ['{"id":"s1","type":"ack"}']
    assert session.subscribed == {"BTC-USDT"}
    quiet = (SUBSCRIBE % "BTC-USDT").replace("true", "false").replace("subscribe", "unsubscribe")
    assert session.receive(quiet, now_ns) == []
    assert session.subscribed == set()


@pytest.mark.parametrize("topic", ["NO-PE", "BTC-USDT,NO-PE", ""])
def test_an_unknown_topic_is_refused_whole(session, now_ns, topic):
    refusal = json.loads(session.receive(SUBSCRIBE % topic, now_ns)[0])
    assert (refusal["type"], refusal["code"]) == ("error", 404)
    assert refusal["data"] == f"topic /market/match:{topic} is not found"
    assert session.subscribed == set()


def test_ping_gets_pong_and_keeps_the_connection(session, now_ns):
    later_ns = now_ns + 20 * NS_PER_S
    pong = json.loads(session.receive('{"id":"77","type":"ping"}', later_ns)[0])
    assert (pong["id"], pong["type"]) == ("77", "pong")
    assert session.tick(now_ns + 40 * NS_PER_S, 0) == []
    assert isinstance(session.tick(now_ns + 49 * NS_PER_S, 0)[0], Close)


@pytest.mark.parametrize("text", ["{", "[]", '{"id":"1","type":"dance"}'])
def test_nonsense_is_an_error(session, now_ns, text):
    assert json.loads(session.receive(text, now_ns)[0])["type"] == "error"


def test_more_than_a_hundred_messages_in_ten_seconds_are_refused(session, now_ns):
    replies = [json.loads(session.receive('{"id":"1","type":"ping"}', now_ns)[0])["type"] for _ in range(101)]
    assert replies == ["pong"] * 100 + ["error"]


def test_histories_are_the_last_hundred_oldest_first(venue, now_ns):
    request = Request("GET", "/api/v1/market/histories", {"symbol": "BTC-USDT"}, {})
    document = json.loads(venue.rest(request, now_ns).body)
    rows = document["data"]
    assert (document["code"], len(rows), rows[-1]["sequence"]) == ("200000", 100, str(1024 * 199))
    assert isinstance(rows[0]["time"], int)
    assert rows[0]["time"] > 2**53


def test_rest_refuses_in_the_venues_words(venue, now_ns):
    request = Request("GET", "/api/v1/market/histories", {"symbol": "NO-PE"}, {})
    assert json.loads(venue.rest(request, now_ns).body)["code"] == "900001"
    assert venue.rest(Request("GET", "/api/v1/other", {}, {}), now_ns).status == 404
