"""The simulated Bybit in its own words."""

import json

import pytest

from priceverse.simulator.match import NS_PER_S
from priceverse.simulator.venues.bybit import Bybit
from priceverse.simulator.venues.protocol import Close, Request

SUBSCRIBE = '{"req_id":"1","op":"subscribe","args":["publicTrade.BTCUSDT"]}'


@pytest.fixture
def venue(history):
    return Bybit(history("BTCUSDT", range(100, 200)))


@pytest.fixture
def session(venue, now_ns):
    return venue.session(Request("GET", "", {}, {}), now_ns)


def recent(venue, now_ns, **query: str):
    return json.loads(venue.rest(Request("GET", "/v5/market/recent-trade", query, {}), now_ns).body)


def test_all_rows_of_a_sweep_are_one_frame(venue, match):
    rows = [match("BTCUSDT", 2290000001189048101, price="65140.5", volume="0.002705"), match("BTCUSDT", 2)]
    document = json.loads(venue.frames(rows)[0].text)
    assert (document["topic"], document["type"]) == ("publicTrade.BTCUSDT", "snapshot")
    assert document["ts"] >= document["data"][-1]["T"]
    assert document["data"][0] == {
        "i": "2290000001189048101",
        "T": 1790446152678,
        "p": "65140.5",
        "v": "0.002705",
        "S": "Buy",
        "seq": 7,
        "s": "BTCUSDT",
        "BT": False,
        "RPI": False,
    }


def test_subscribing_and_unsubscribing_are_acknowledged(session, now_ns):
    ack = json.loads(session.receive(SUBSCRIBE, now_ns)[0])
    assert (ack["success"], ack["ret_msg"], ack["op"], ack["req_id"]) == (True, "subscribe", "subscribe", "1")
    assert session.subscribed == {"BTCUSDT"}
    session.receive(SUBSCRIBE.replace("subscribe", "unsubscribe"), now_ns)
    assert session.subscribed == set()


def test_a_request_id_is_echoed_only_if_sent(session, now_ns):
    assert "req_id" not in json.loads(session.receive(SUBSCRIBE.replace('"req_id":"1",', ""), now_ns)[0])


def test_one_bad_topic_refuses_its_request(session, now_ns):
    text = SUBSCRIBE.replace('"]', '","publicTrade.XMRUSDT"]')
    refusal = json.loads(session.receive(text, now_ns)[0])
    assert (refusal["success"], refusal["ret_msg"]) == (False, "error:handler not found,topic:publicTrade.XMRUSDT")
    assert session.subscribed == set()


def test_a_request_holds_ten_topics(session, now_ns):
    args = json.dumps(["publicTrade.BTCUSDT"] * 11)
    assert json.loads(session.receive(f'{{"op":"subscribe","args":{args}}}', now_ns)[0])["success"] is False


def test_ping_gets_pong(session, now_ns):
    pong = json.loads(session.receive('{"req_id":"9","op":"ping"}', now_ns)[0])
    assert (pong["success"], pong["ret_msg"], pong["op"], pong["req_id"]) == (True, "pong", "ping", "9")


@pytest.mark.parametrize("text", ["{", "ping", '{"op":"dance"}', '{"op":"subscribe","args":[]}'])
def test_nonsense_is_an_error(session, now_ns, text):
    assert json.loads(session.receive(text, now_ns)[0])["success"] is False


def test_ten_silent_minutes_end_the_connection(session, now_ns):
    assert session.tick(now_ns + 600 * NS_PER_S, 0) == []
    assert isinstance(session.tick(now_ns + 601 * NS_PER_S, 0)[0], Close)


def test_rest_shows_sixty_rows_at_most_newest_first(venue, now_ns):
    reply = recent(venue, now_ns, category="spot", symbol="BTCUSDT", limit="1000")
    rows = reply["result"]["list"]
    assert (reply["retCode"], len(rows), rows[0]["execId"], rows[-1]["execId"]) == (0, 60, "199", "140")
    assert list(rows[0]) == [
        "execId",
        "symbol",
        "price",
        "size",
        "side",
        "time",
        "isBlockTrade",
        "isRPITrade",
        "seq",
    ]


@pytest.mark.parametrize("query", [{"category": "spot", "symbol": "XMRUSDT"}, {"symbol": "BTCUSDT"}])
def test_rest_refuses_with_a_code(venue, now_ns, query):
    assert recent(venue, now_ns, **query)["retCode"] == 10001


def test_other_paths_are_not_found(venue, now_ns):
    assert venue.rest(Request("GET", "/v5/market/time", {}, {}), now_ns).status == 404
