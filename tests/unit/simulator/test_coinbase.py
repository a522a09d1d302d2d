"""The simulated Coinbase in its own words."""

import json

import pytest

from priceverse.model.exchange import Side
from priceverse.simulator.match import NS_PER_S
from priceverse.simulator.venues.coinbase import Coinbase
from priceverse.simulator.venues.protocol import Close, Request

SUBSCRIBE = '{"type":"subscribe","product_ids":["BTC-USD"],"channels":["matches","heartbeat"]}'
AGENT = {"user-agent": "test"}


@pytest.fixture
def venue(history):
    return Coinbase(history("BTC-USD", range(100, 130)))


@pytest.fixture
def session(venue, now_ns):
    return venue.session(Request("GET", "", {}, {}), now_ns)


def trades(venue, now_ns, **query: str):
    return venue.rest(Request("GET", "/products/BTC-USD/trades", query, AGENT), now_ns)


def test_a_match_names_the_makers_side(venue, match):
    (frame,) = venue.frames([match("BTC-USD", 881613, side=Side.SELL, price="14.7775", volume="0.04")])
    row = json.loads(frame.text)
    assert list(row) == [
        "type",
        "trade_id",
        "maker_order_id",
        "taker_order_id",
        "side",
        "size",
        "price",
        "product_id",
        "sequence",
        "time",
    ]
    assert (row["type"], row["trade_id"], row["side"], row["size"]) == ("match", 881613, "buy", "0.04")
    assert row["time"] == "2026-09-26T18:09:12.678901Z"
    assert len(row["taker_order_id"]) == 36


def test_subscribing_shows_the_last_match_then_the_list_of_channels(session, now_ns):
    last, ack = map(json.loads, session.receive(SUBSCRIBE, now_ns))
    assert (last["type"], last["trade_id"]) == ("last_match", 129)
    assert ack == {
        "type": "subscriptions",
        "channels": [
            {"name": "matches", "product_ids": ["BTC-USD"], "account_ids": None},
            {"name": "heartbeat", "product_ids": ["BTC-USD"], "account_ids": None},
        ],
    }


def test_channels_may_name_their_own_products(session, now_ns):
    session.receive('{"type":"subscribe","channels":[{"name":"heartbeat","product_ids":["BTC-USD"]}]}', now_ns)
    assert session.subscribed == set()
    assert len(session.tick(now_ns + NS_PER_S, 0)) == 1


def test_one_bad_product_refuses_the_message(session, now_ns):
    (refusal,) = session.receive(SUBSCRIBE.replace('"BTC-USD"', '"BTC-USD","XMR-USD"'), now_ns)
    assert json.loads(refusal) == {
        "type": "error",
        "message": "Failed to subscribe",
        "reason": "XMR-USD is not a valid product",
    }
    assert session.subscribed == set()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"type":"dance"}', SUBSCRIBE.replace("matches", "level9"), '{"type":"subscribe"}']
)
def test_nonsense_is_an_error(session, now_ns, text):
    (reply,) = session.receive(text, now_ns)
    assert json.loads(reply)["type"] == "error"


def test_who_does_not_subscribe_within_five_seconds_is_cut(venue, session, now_ns):
    assert session.tick(now_ns + 5 * NS_PER_S, 0) == []
    assert isinstance(session.tick(now_ns + 5 * NS_PER_S + 1, 0)[0], Close)
    session.receive(SUBSCRIBE, now_ns)
    assert not any(isinstance(output, Close) for output in session.tick(now_ns + 6 * NS_PER_S, 0))


def test_the_heartbeat_names_the_last_trade_each_second(session, now_ns):
    session.receive(SUBSCRIBE, now_ns)
    assert session.tick(now_ns + NS_PER_S // 2, 0) == []
    beat = json.loads(session.tick(now_ns + NS_PER_S, 0)[0])
    assert (beat["type"], beat["last_trade_id"], beat["product_id"]) == ("heartbeat", 129, "BTC-USD")
    assert session.tick(now_ns + NS_PER_S, 0) == []


def test_unsubscribing_shortens_the_list(session, now_ns):
    session.receive(SUBSCRIBE, now_ns)
    (ack,) = session.receive(SUBSCRIBE.replace("subscribe", "unsubscribe"), now_ns)
    assert json.loads(ack) == {"type": "subscriptions", "channels": []}


def test_too_many_messages_end_the_connection(session, now_ns):
    replies = [session.receive("{", now_ns)[0] for _ in range(101)]
    assert isinstance(replies[-1], Close)


def test_rest_pages_backwards_with_cursors_in_headers(venue, now_ns):
    seen, after = [], {}
    while True:
        response = trades(venue, now_ns, limit="7", **after)
        rows = json.loads(response.body)
        if not rows:
            break
        seen += [row["trade_id"] for row in rows]
        headers = dict(response.headers)
        assert (headers["CB-BEFORE"], headers["CB-AFTER"]) == (str(rows[0]["trade_id"]), str(rows[-1]["trade_id"]))
        after = {"after": headers["CB-AFTER"]}
    assert seen == list(range(129, 99, -1))


def test_before_is_the_newest_page_of_what_is_newer(venue, now_ns):
    rows = json.loads(trades(venue, now_ns, before="110", limit="5").body)
    assert [row["trade_id"] for row in rows] == [129, 128, 127, 126, 125]
    assert list(rows[0]) == ["trade_id", "side", "size", "price", "time"]


def test_a_user_agent_is_required(venue, now_ns):
    response = venue.rest(Request("GET", "/products/BTC-USD/trades", {}, {}), now_ns)
    assert response.status == 400
    assert b"User-Agent" in response.body


def test_what_is_not_listed_is_not_found(venue, now_ns):
    assert venue.rest(Request("GET", "/products/XMR-USD/trades", {}, AGENT), now_ns).status == 404
    assert venue.rest(Request("GET", "/time", {}, AGENT), now_ns).status == 404
