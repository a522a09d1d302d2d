"""The simulated OKX in its own words."""

import json

import pytest

from priceverse.simulator.match import NS_PER_S
from priceverse.simulator.venues.okx import Okx
from priceverse.simulator.venues.protocol import Close, Request

SUBSCRIBE = (
    '{"id":"1512","op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT"},'
    '{"channel":"trades","instId":"XMR-USDT"}]}'
)


@pytest.fixture
def venue(history):
    return Okx(history("BTC-USDT", range(100, 300)))


@pytest.fixture
def session(venue, now_ns):
    return venue.session(Request("GET", "", {}, {}), now_ns)


def page(venue, now_ns, name: str, **query: str):
    return json.loads(venue.rest(Request("GET", f"/api/v5/market/{name}", query, {}), now_ns).body)


def test_fills_of_one_order_at_one_price_are_one_row_named_by_the_last(venue, match):
    fills = [
        match("BTC-USDT", 121, volume="0.1", price="10"),
        match("BTC-USDT", 122, volume="0.20", price="10"),
        match("BTC-USDT", 123, volume="1", price="11"),
        match("BTC-USDT", 124, volume="0.00000001", price="11", order=8),
    ]
    rows = venue.rows(fills)
    assert [(row.trade_id, row.volume, row.count) for row in rows] == [
        ("122", "0.30", 2),
        ("123", "1", 1),
        ("124", "0.00000001", 1),
    ]
    (frame,) = venue.frames(rows)
    document = json.loads(frame.text)
    assert document["arg"] == {"channel": "trades", "instId": "BTC-USDT"}
    assert document["data"][0] == {
        "instId": "BTC-USDT",
        "tradeId": "122",
        "px": "10",
        "sz": "0.30",
        "side": "buy",
        "ts": "1790446152678",
        "count": "2",
        "source": "0",
        "seqId": 7,
    }


def test_subscribing_gets_an_ack_and_the_last_trade_unmarked(session, now_ns):
    ack, last, refusal = map(json.loads, session.receive(SUBSCRIBE, now_ns))
    assert (ack["event"], ack["arg"]["instId"], ack["id"]) == ("subscribe", "BTC-USDT", "1512")
    assert last["data"][-1]["tradeId"] == "299"
    assert (refusal["event"], refusal["code"]) == ("error", "60018")
    assert "channel:trades,instId:XMR-USDT doesn't exist" in refusal["msg"]
    assert session.subscribed == {"BTC-USDT"}


def test_unsubscribing_is_acknowledged(session, now_ns):
    session.receive(SUBSCRIBE, now_ns)
    ack = json.loads(session.receive(SUBSCRIBE.replace("subscribe", "unsubscribe"), now_ns)[0])
    assert ack["event"] == "unsubscribe"
    assert session.subscribed == set()


def test_text_ping_gets_text_pong(session, now_ns):
    assert session.receive("ping", now_ns) == ["pong"]


@pytest.mark.parametrize("text", ["{", "Ping", '{"op":"dance"}'])
def test_nonsense_is_60012(session, now_ns, text):
    assert json.loads(session.receive(text, now_ns)[0])["code"] == "60012"


def test_silence_of_both_sides_for_thirty_seconds_ends_the_connection(session, now_ns):
    late_ns = now_ns + 31 * NS_PER_S
    session.receive(SUBSCRIBE, now_ns)
    assert session.tick(late_ns, 5 * NS_PER_S) == []
    assert isinstance(session.tick(late_ns, 31 * NS_PER_S)[0], Close)
    session.receive("ping", late_ns)
    assert session.tick(late_ns + NS_PER_S, 31 * NS_PER_S) == []


def test_who_never_subscribes_is_cut_too(session, now_ns):
    assert isinstance(session.tick(now_ns + 31 * NS_PER_S, 0)[0], Close)


def test_rest_is_newest_first_and_pages_by_id(venue, now_ns):
    latest = page(venue, now_ns, "trades", instId="BTC-USDT", limit="500")["data"]
    assert [row["tradeId"] for row in latest] == [str(n) for n in range(299, 99, -1)]
    older = page(venue, now_ns, "history-trades", instId="BTC-USDT", type="1", after="200", limit="500")["data"]
    assert (older[0]["tradeId"], older[-1]["tradeId"], len(older)) == ("199", "100", 100)
    newer = page(venue, now_ns, "history-trades", instId="BTC-USDT", before="297")["data"]
    assert [row["tradeId"] for row in newer] == ["299", "298"]
    assert list(latest[0]) == ["instId", "side", "sz", "px", "tradeId", "ts"]


def test_rest_refuses_in_the_venues_words(venue, now_ns):
    assert page(venue, now_ns, "trades", instId="XMR-USDT")["code"] == "51001"
    assert venue.rest(Request("GET", "/api/v5/market/books", {}, {}), now_ns).status == 404
