"""The simulated Kraken in its own words."""

import json

import pytest

from priceverse.model.exchange import Side
from priceverse.simulator.match import NS_PER_S
from priceverse.simulator.venues.kraken import Kraken
from priceverse.simulator.venues.protocol import Request

SUBSCRIBE = '{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD","NO/PE"],"snapshot":%s},"req_id":7}'


@pytest.fixture
def venue(history):
    return Kraken(history("BTC/USD", range(100, 200)))


@pytest.fixture
def session(venue, now_ns):
    return venue.session(Request("GET", "", {}, {}), now_ns)


def page(venue, now_ns, **query: str):
    return json.loads(venue.rest(Request("GET", "/0/public/Trades", query, {}), now_ns).body)


def test_all_rows_of_a_sweep_are_one_update_with_bare_numbers(venue, match):
    rows = [match("BTC/USD", 109183836), match("BTC/USD", 109183837, price="84099.0", side=Side.SELL, order=9)]
    (frame,) = venue.frames(rows)
    assert frame.text == (
        '{"channel":"trade","type":"update","data":['
        '{"symbol":"BTC/USD","side":"buy","price":84098.4,"qty":0.04661621,"ord_type":"limit","trade_id":109183836,'
        '"timestamp":"2026-09-26T18:09:12.678901Z"},'
        '{"symbol":"BTC/USD","side":"sell","price":84099.0,"qty":0.04661621,"ord_type":"market","trade_id":109183837,'
        '"timestamp":"2026-09-26T18:09:12.678901Z"}]}'
    )


def test_the_first_frame_is_the_status_with_a_huge_connection_id(session, now_ns):
    (status,) = session.welcome(now_ns)
    document = json.loads(status)
    assert (document["channel"], document["data"][0]["system"]) == ("status", "online")
    assert document["data"][0]["connection_id"] > 2**63


def test_each_symbol_is_acknowledged_or_refused_by_itself(session, now_ns):
    ack, refusal = map(json.loads, session.receive(SUBSCRIBE % "false", now_ns))
    assert ack["result"] == {"channel": "trade", "snapshot": False, "symbol": "BTC/USD"}
    assert (ack["success"], ack["req_id"], ack["time_in"]) == (True, 7, "2026-09-26T18:09:12.678901Z")
    assert refusal["error"] == "Currency pair not supported NO/PE"
    assert (refusal["success"], refusal["symbol"], refusal["method"]) == (False, "NO/PE", "subscribe")
    assert session.subscribed == {"BTC/USD"}


def test_a_snapshot_is_the_last_fifty_oldest_first_if_asked_for(session, now_ns):
    _, snapshot, _ = map(json.loads, session.receive(SUBSCRIBE % "true", now_ns))
    assert snapshot["type"] == "snapshot"
    assert [row["trade_id"] for row in snapshot["data"]] == list(range(150, 200))


def test_a_second_subscription_is_refused_until_the_first_is_given_up(session, now_ns):
    session.receive(SUBSCRIBE % "false", now_ns)
    assert json.loads(session.receive(SUBSCRIBE % "false", now_ns)[0])["error"] == "Already subscribed"
    assert json.loads(session.receive(SUBSCRIBE.replace("subscribe", "unsubscribe") % "false", now_ns)[0])["success"]
    assert session.subscribed == set()


def test_a_heartbeat_comes_when_idle_and_only_once_subscribed(session, now_ns):
    assert session.tick(now_ns, 5 * NS_PER_S) == []
    session.receive(SUBSCRIBE % "false", now_ns)
    assert session.tick(now_ns, NS_PER_S // 2) == []
    assert session.tick(now_ns, NS_PER_S) == ['{"channel":"heartbeat"}']


def test_ping_gets_pong(session, now_ns):
    assert json.loads(session.receive('{"method":"ping","req_id":1}', now_ns)[0]) == {
        "method": "pong",
        "req_id": 1,
        "time_in": "2026-09-26T18:09:12.678901Z",
        "time_out": "2026-09-26T18:09:12.678941Z",
    }


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"method":"dance"}', '{"method":"subscribe","params":{"channel":"book"}}']
)
def test_nonsense_is_an_error(session, now_ns, text):
    (reply,) = session.receive(text, now_ns)
    assert json.loads(reply)["success"] is False


def test_rest_pages_forward_by_the_time_of_the_last_row(venue, now_ns):
    first = page(venue, now_ns, pair="XBTUSD", since="0", count="60")["result"]
    second = page(venue, now_ns, pair="XBTUSD", since=first["last"])["result"]
    seen = [row[6] for result in (first, second) for row in result["XXBTZUSD"]]
    assert seen == list(range(100, 200))
    assert page(venue, now_ns, pair="XBTUSD", since=second["last"])["result"] == {
        "XXBTZUSD": [],
        "last": second["last"],
    }


def test_a_rest_row_is_the_older_apis(venue, now_ns):
    body = venue.rest(Request("GET", "/0/public/Trades", {"pair": "BTC/USD", "count": "1"}, {}), now_ns).body.decode()
    assert '["84098.40000","0.04661621",1790446152.7779012,"b","l","",199]' in body


@pytest.mark.parametrize("pair", ["XBTUSD", "XBT/USD", "BTC/USD", "BTCUSD", "XXBTZUSD"])
def test_a_pair_has_many_names(venue, now_ns, pair):
    assert len(page(venue, now_ns, pair=pair)["result"]["XXBTZUSD"]) == 100


def test_rest_refuses_in_the_venues_words(venue, now_ns):
    assert page(venue, now_ns, pair="NOPE")["error"] == ["EQuery:Unknown asset pair"]


@pytest.mark.parametrize(
    ("symbol", "name"), [("USDT/USD", "USDTZUSD"), ("XMR/USD", "XXMRZUSD"), ("BTC/USDT", "XBTUSDT")]
)
def test_the_older_api_has_its_own_pair_names(history, now_ns, symbol, name):
    venue = Kraken(history(symbol, range(1, 3)))
    assert name in page(venue, now_ns, pair=symbol.replace("/", "").replace("BTC", "XBT"))["result"]


@pytest.mark.parametrize("since", ["1790446152.6789", "1790446152"])
def test_since_may_be_in_seconds(venue, now_ns, since):
    assert page(venue, now_ns, pair="XBTUSD", since=since)["result"]["XXBTZUSD"][0][6] == 100
