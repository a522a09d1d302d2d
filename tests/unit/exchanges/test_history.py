"""REST history: every row of every reply with its exact digits, only what is inside the gap, whatever bytes come."""

import json
from itertools import chain
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from priceverse.exchanges.protocol import Gap, Mark, Page, PageError, Reject
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange
from priceverse.model.trade import Trade
from tests.conftest import WIRE
from tests.unit.exchanges.frame_files import OURS, json_lines, trade_keys
from tests.unit.exchanges.test_total import _places, _replace, check, values

FOLDER = OURS / "rest"
NOW_MS = 1_790_000_000_000

each_venue = pytest.mark.parametrize("exchange", list(Exchange))
patient = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def mark(spelt):
    return None if spelt is None else Mark(**spelt)


def case(exchange):
    """Return adapter, gap and reply of the file in `tests/frames/rest`."""
    told = json.loads((FOLDER / f"{exchange}.gap.json").read_bytes())
    adapter = ADAPTERS[exchange]({told["symbol"]: told["pair"]})
    gap = Gap(told["symbol"], Mark(**told["after"]), mark(told["before"]))
    return adapter, gap, (FOLDER / f"{exchange}.reply.json").read_bytes()


def asked(adapter, gap, cursor=""):
    """Return path and query of a request."""
    request = adapter.history("https://rest.example/", gap, cursor)
    assert request.method == "GET"
    assert request.url.startswith("https://rest.example/")
    parts = urlsplit(request.url)
    return parts.path, {key: value for key, (value,) in parse_qs(parts.query).items()}


@each_venue
def test_a_reply_gives_the_trades_inside_the_gap_oldest_first(exchange):
    adapter, gap, reply = case(exchange)
    page = adapter.page(gap, "", reply)
    assert [trade_keys(trade) for trade in page.trades] == json_lines(FOLDER / f"{exchange}.expected.jsonl")
    assert (page.rejects, page.cursor, page.is_cut) == ((), None, False)


@each_venue
def test_a_refusal_is_told_in_the_venues_words(exchange):
    adapter, gap, _ = case(exchange)
    for refusal in (FOLDER / f"{exchange}.refused.jsonl").read_bytes().splitlines():
        with pytest.raises(PageError, match=r"[A-Za-z]{4}"):
            adapter.page(gap, "", refusal)


ASKED = {
    Exchange.BINANCE: ("/api/v3/historicalTrades", {"symbol": "BTCUSDT", "fromId": "7001", "limit": "10"}),
    Exchange.KRAKEN: ("/0/public/Trades", {"pair": "XBTUSD", "since": "1789999999000000000", "count": "1000"}),
    Exchange.COINBASE: ("/products/BTC-USD/trades", {"after": "881613", "limit": "10"}),
    Exchange.OKX: (
        "/api/v5/market/history-trades",
        {"instId": "BTC-USDT", "type": "1", "after": "124", "limit": "10"},
    ),
    Exchange.BYBIT: ("/v5/market/recent-trade", {"category": "spot", "symbol": "BTCUSDT", "limit": "60"}),
    Exchange.KUCOIN: ("/api/v1/market/histories", {"symbol": "BTC-USDT"}),
}


@each_venue
def test_what_is_asked_for(exchange):
    adapter, gap, _ = case(exchange)
    assert asked(adapter, gap) == ASKED[exchange]


@pytest.mark.parametrize("exchange", [Exchange.COINBASE, Exchange.OKX])
def test_up_to_the_newest(exchange):
    adapter, gap, _ = case(exchange)
    _, query = asked(adapter, Gap(gap.symbol, gap.after))
    assert "after" not in query
    assert query["limit"] == {"coinbase": "1000", "okx": "100"}[exchange]


def test_which_venues_number_their_trades():
    assert [name for name in Exchange if ADAPTERS[name].is_numbered] == ["binance", "kraken", "coinbase", "okx"]
    assert [name for name in Exchange if ADAPTERS[name].pages_back] == ["coinbase", "okx"]


def binance_rows(ids):
    row = {"price": "1.5", "qty": "2", "time": NOW_MS, "isBuyerMaker": True}
    return json.dumps([row | {"id": number} for number in ids]).encode()


def coinbase_rows(ids):
    row = {"price": "1.5", "size": "2", "time": "2026-09-21T14:13:20Z", "side": "buy"}
    return json.dumps([row | {"trade_id": number} for number in ids]).encode()


def kraken_rows(ids, last):
    rows = [["1.5", "2", NOW_MS / 1000, "b", "l", "", number] for number in ids]
    return json.dumps({"error": [], "result": {"XXBTZUSD": rows, "last": last}}).encode()


def okx_rows(ids):
    row = {"instId": "BTC-USDT", "px": "1.5", "sz": "2", "side": "buy", "ts": str(NOW_MS)}
    return json.dumps({"code": "0", "data": [row | {"tradeId": str(number)} for number in ids]}).encode()


def gap_of(symbol, after, before=None):
    return Gap(symbol, Mark(str(after), NOW_MS), None if before is None else Mark(str(before), NOW_MS))


def walked(adapter, gap, serve):
    """Page through a gap; `serve` is the venue: query → reply. Return ids in the order they came."""
    cursor, found = "", []
    for _ in range(20):
        _, query = asked(adapter, gap, cursor)
        page = adapter.page(gap, cursor, serve(query))
        found.append([int(trade.trade_id) for trade in page.trades])
        if page.cursor is None:
            return found
        cursor = page.cursor
    raise AssertionError("paging does not end")


@pytest.mark.parametrize("before", [3501, None])
def test_binance_goes_forward(before):
    adapter = ADAPTERS[Exchange.BINANCE]({"BTCUSDT": "btc-usd"})

    def serve(query):
        first = int(query["fromId"])
        return binance_rows(range(first, min(first + int(query["limit"]), 3501)))

    pages = walked(adapter, gap_of("BTCUSDT", 1000, before), serve)
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert list(chain(*pages)) == list(range(1001, 3501))


def test_kraken_goes_forward_by_its_own_cursor():
    adapter = ADAPTERS[Exchange.KRAKEN]({"BTC/USD": "btc-usd"})

    def serve(query):
        first = 900 if query["since"] == "1789999999000000000" else int(query["since"]) % 10_000 + 1
        ids = range(first, min(first + 1000, 3000))
        return kraken_rows(ids, str(1_790_000_000_000_000_000 + ids[-1]))

    pages = walked(adapter, gap_of("BTC/USD", 1000), serve)
    assert list(chain(*pages)) == list(range(1001, 3000))


def test_kraken_does_not_ask_again_for_the_same():
    adapter = ADAPTERS[Exchange.KRAKEN]({"BTC/USD": "btc-usd"})
    for last in ("1789999999000000000", "1", "", None, "x", []):
        assert adapter.page(gap_of("BTC/USD", 1), "", kraken_rows(range(2, 1002), last)).cursor is None


@pytest.mark.parametrize(
    ("exchange", "symbol", "rows", "sizes"),
    [
        (Exchange.COINBASE, "BTC-USD", coinbase_rows, [1000, 1000, 300]),
        (Exchange.OKX, "BTC-USDT", okx_rows, [100] * 15),
    ],
)
@pytest.mark.parametrize("before", [2401, None])
def test_back_by_id(exchange, symbol, rows, sizes, before):
    adapter = ADAPTERS[exchange]({symbol: "btc-usd"})
    newest = 2400
    first = newest - sum(sizes)

    def serve(query):
        below = int(query.get("after", newest + 1))
        return rows(range(below - 1, max(below - 1 - int(query["limit"]), 0), -1))

    pages = walked(adapter, gap_of(symbol, first, before), serve)
    assert [len(page) for page in pages] == sizes
    assert list(chain(*reversed(pages))) == list(range(first + 1, newest + 1))


@pytest.mark.parametrize("exchange", [Exchange.BYBIT, Exchange.KUCOIN])
def test_where_ids_tell_nothing_a_forgotten_beginning_is_told(exchange):
    adapter, gap, reply = case(exchange)
    expected = adapter.page(gap, "", reply).trades
    forgotten = Gap(gap.symbol, Mark("0", gap.after.timestamp_ms - 1))
    page = adapter.page(forgotten, "", reply)
    assert page.is_cut
    assert page.trades[1:] == expected
    later = adapter.page(Gap(gap.symbol, Mark("0", gap.after.timestamp_ms + 1)), "", reply)
    assert not later.is_cut
    assert later.trades == expected


def test_one_bad_row_costs_no_other():
    adapter, gap, reply = case(Exchange.BINANCE)
    rows = json.loads(reply)
    rows[1]["price"] = "-1"
    page = adapter.page(gap, "", json.dumps(rows).encode())
    assert [trade.trade_id for trade in page.trades] == ["7001", "7003"]
    assert [reject.reason for reject in page.rejects] == ["bad_price"]


@each_venue
def test_rows_of_which_none_is_a_trade_are_no_answer(exchange):
    adapter, gap, reply = case(exchange)
    for expected in json_lines(FOLDER / f"{exchange}.expected.jsonl"):
        reply = reply.replace(f'"{expected["price"]}"'.encode(), b'"0"')
    for foreign in set(json.loads(f"[{','.join(_prices(reply))}]")) - {"0"}:
        reply = reply.replace(f'"{foreign}"'.encode(), b'"NaN"')
    with pytest.raises(PageError, match="bad_price"):
        adapter.page(gap, "", reply)


def _prices(reply):
    text = json.loads(reply)
    rows = (
        text if isinstance(text, list) else text.get("data") or text["result"].get("list") or text["result"]["XXBTZUSD"]
    )
    return [json.dumps(row[0] if isinstance(row, list) else row.get("price", row.get("px"))) for row in rows]


# --- whatever comes


def read(adapter, gap, cursor, reply):
    """Read a reply and assert what holds for any."""
    try:
        page = adapter.page(gap, cursor, reply)
    except PageError as error:
        said = str(error)
    else:
        said = ""
        examine(adapter, gap, cursor, page)
    assert len(said.encode()) < 3000


def examine(adapter, gap, cursor, page):
    """Assert what holds for any page."""
    assert isinstance(page, Page)
    if page.trades or page.rejects:
        check([*page.trades, *page.rejects])
    assert all(isinstance(trade, Trade) and trade.symbol == gap.symbol for trade in page.trades)
    assert all(isinstance(reject, Reject) for reject in page.rejects)
    times = [(int(trade.trade_id) if adapter.is_numbered else trade.timestamp_ms) for trade in page.trades]
    assert times == sorted(times)
    if page.cursor is not None:
        assert page.cursor != cursor
        adapter.history("http://h", gap, page.cursor)


@each_venue
@given(reply=st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
@patient
def test_any_reply(exchange, reply):
    adapter, gap, _ = case(exchange)
    read(adapter, gap, "", reply)


@each_venue
@given(data=st.data())
@patient
def test_a_reply_with_one_value_replaced(exchange, data):
    adapter, gap, reply = case(exchange)
    document = json.loads(reply)
    places = list(_places(document))
    place = data.draw(st.sampled_from(places))
    _replace(document, place, data.draw(values))
    read(adapter, gap, "", json.dumps(document).encode())


@each_venue
@given(data=st.data())
@patient
def test_a_reply_cut_or_with_bytes_changed(exchange, data):
    adapter, gap, reply = case(exchange)
    at = data.draw(st.integers(0, len(reply)))
    read(adapter, gap, "", reply[:at])
    read(adapter, gap, "", reply[:at] + data.draw(st.binary(max_size=8)) + reply[at + 4 :])


# --- replies recorded by others, where this machine has them

RECORDED = {
    "binance_historical_trades": (Exchange.BINANCE, "BTCUSDT", "870281749", 1621933655000, 5),
    "binance_trades": (Exchange.BINANCE, "BTCUSDT", "445560529", 1603947130000, 6),
    "kraken_trades": (Exchange.KRAKEN, "BTC/USDT", "10218207", 1762795433000, 20),
    "okx_trades": (Exchange.OKX, "BTC-USDT", "734864331", 1747087161000, 2),
    "bybit_recent_trade": (Exchange.BYBIT, "BTCUSDT", "0", 1672052955000, 1),
    "kucoin_histories": (Exchange.KUCOIN, "BTC-USDT", "0", 1729177117000, 3),
}


def test_replies_recorded_by_others():
    for name, (exchange, symbol, after, since_ms, rows) in RECORDED.items() if WIRE.is_dir() else ():
        adapter = ADAPTERS[exchange]({symbol: "btc-usd"})
        page = adapter.page(Gap(symbol, Mark(after, since_ms)), "", (WIRE / f"rest/{name}.json").read_bytes())
        assert len(page.trades) == rows, name
        assert page.rejects == ()
        assert all(trade.timestamp_ms >= since_ms for trade in page.trades)
