"""Whatever bytes come, `receive` returns trades, controls and rejects: never an exception, never a doubtful trade."""

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from priceverse.exchanges.frames import MAX_FRAME, MAX_ROWS, MAX_SAMPLE, reject, tree
from priceverse.exchanges.protocol import Control, Reason, Reject
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange
from priceverse.model.trade import Trade
from tests.unit.exchanges.frame_files import files

REAL = {file.exchange: (file.adapter(), file.frames()) for file in files(".jsonl")}
QUICKLY_S = 3.0

patient = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
numbers = st.integers() | st.floats() | st.integers(min_value=10**17, max_value=10**45)
texts = st.text(max_size=30) | st.sampled_from(
    ["NaN", "-Infinity", "1e999999999999", "0", "-1", "1_0", "1790000000000"]
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def check(items):
    """Assert what holds for the result of any frame whatever."""
    assert isinstance(items, list)
    assert items
    for item in items:
        match item:
            case Trade():
                assert item.price.is_finite()
                assert item.volume.is_finite()
                assert min(item.price, item.volume) > 0
                assert item.trade_id
                assert 1_230_000_000_000 < item.timestamp_ms < 4_102_444_800_000
            case Control(_, symbol, detail):
                (detail + (symbol or "")).encode()
                assert len(detail) <= 1000
                assert len(symbol or "") <= 64 * 6
            case Reject(reason, sample):
                sample.encode()
                assert reason
                assert len(sample) <= 2000
            case _:
                raise AssertionError(item)


each_venue = pytest.mark.parametrize(("adapter", "frames"), [pytest.param(*REAL[name], id=name) for name in Exchange])


@each_venue
@given(frame=st.binary(max_size=200) | st.text(max_size=200))
@patient
def test_any_bytes_and_text(adapter, frames, frame):
    check(adapter.receive(frame))


@each_venue
@given(value=values)
@patient
def test_any_json(adapter, frames, value):
    check(adapter.receive(json.dumps(value)))


@each_venue
@given(data=st.data())
@patient
def test_a_frame_with_one_value_replaced(adapter, frames, data):
    text = altered(data, frames)
    items = adapter.receive(text)
    check(items)
    assert essence(items) == essence(careful(adapter, text))


@each_venue
@given(data=st.data())
@patient
def test_a_frame_with_bytes_changed(adapter, frames, data):
    frame = bytearray(data.draw(st.sampled_from(frames)))
    at = data.draw(st.integers(0, len(frame)))
    frame[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    check(adapter.receive(bytes(frame)))


@each_venue
@given(data=st.data())
@patient
def test_a_frame_cut_short(adapter, frames, data):
    frame = data.draw(st.sampled_from(frames))
    check(adapter.receive(frame[: data.draw(st.integers(0, len(frame)))]))


def _places(members, path=()):
    entries = members.items() if isinstance(members, dict) else enumerate(members) if isinstance(members, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _replace(members, path, value):
    for key in path[:-1]:
        members = members[key]
    members[path[-1]] = value


def test_the_quick_way_and_the_careful_way_agree():
    for adapter, frames in REAL.values():
        for frame in frames:
            assert adapter.receive(frame) == careful(adapter, frame.decode())


@each_venue
def test_real_frames_of_trades_go_the_quick_way(adapter, frames):
    """All but those with something odd in them, which the edge cases are for."""
    ordinary = [frame for frame in frames if all(isinstance(item, Trade) for item in adapter.receive(frame))]
    assert ordinary
    for frame in ordinary:
        assert adapter._trades(frame) == adapter.receive(frame)


def altered(data, frames):
    """Return a frame of the session with one value, anywhere in it, replaced by anything."""
    members = json.loads(data.draw(st.sampled_from([frame for frame in frames if frame.startswith(b"{")])))
    place = data.draw(st.sampled_from(list(_places(members))))
    _replace(members, place, data.draw(values))
    return json.dumps(members)


def careful(adapter, text):
    """Read a frame the slow way only."""
    parsed = tree(text)
    return adapter._anything(parsed) if isinstance(parsed, dict) else adapter.receive(text)


def essence(items):
    """Return items without the wording of rejects, which shows numbers as the way read them."""
    return [item.reason if isinstance(item, Reject) else item for item in items]


HOSTILE = {
    "10 MB of text": "x" * 10_000_000,
    "10 MB of bytes": b"\xff" * 10_000_000,
    "10 MB of brackets": "[" * 10_000_000,
    "deep arrays": "[" * (MAX_FRAME - 1),
    "deep objects": '{"data":' * 100_000,
    "deep within an object": '{"data":' + "[" * 400 + "]" * 400 + "}",
    "many members": "{" + ",".join(f'"{i}":{i}' for i in range(60_000)) + "}",
    "a long integer": '{"id":' + "9" * 1_000_000 + "}",
    "a long fraction": '{"id":1.' + "9" * 1_000_000 + "}",
    "a long key": '{"' + "k" * 1_000_000 + '":1}',
    "a lone surrogate": '{"type":"\ud800"}',
    "an escaped lone surrogate": '{"type":"error","message":"\\ud800","event":"error","msg":"\\ud800","id":"\\ud800"}',
    "invalid UTF-8 where nobody looks": b'{"type":"pong","x":"\xff"}',
    "a byte order mark": b'\xef\xbb\xbf{"type":"pong"}',
}


@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("exchange", list(Exchange))
def test_hostile_frames_are_answered_quickly(exchange, frame):
    adapter = ADAPTERS[exchange]({"BTC": "btc-usd"})
    start = time.thread_time()
    check(adapter.receive(frame))
    assert time.thread_time() - start < QUICKLY_S


ROWS = {
    Exchange.KRAKEN: '{"channel":"trade","type":"update","data":[%s]}',
    Exchange.OKX: '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[%s]}',
    Exchange.BYBIT: '{"topic":"publicTrade.BTCUSDT","data":[%s]}',
}


@pytest.mark.parametrize("row", ["{}", "null", "[[]]", '{"symbol":[],"instId":{},"s":0}'])
@pytest.mark.parametrize("exchange", ROWS)
def test_a_frame_of_endless_rows_costs_a_bounded_answer(exchange, row):
    count = MAX_FRAME // (len(row) + 1) - 100
    adapter, _ = REAL[exchange]
    items = adapter.receive(ROWS[exchange] % ",".join([row] * count))
    check(items)
    assert len(items) <= MAX_ROWS + 1
    assert not any(isinstance(item, Trade) for item in items)


FOUND = {
    "a symbol that is an endless number": (
        Exchange.BINANCE,
        '{"stream":"btcusdt@trade","data":{"e":"trade","s":%s,"p":"1","q":"1","T":1790000000000,"t":1,"m":true}}'
        % ("1" + "0" * 41),
    ),
    "a trade in the stream of shutdowns": (
        Exchange.BINANCE,
        '{"stream":"!serverShutdown","data":{"e":"trade","s":"BTCUSDT","p":"1","q":"1","T":1790000000000,"t":1}}',
    ),
}


@pytest.mark.parametrize(("exchange", "frame"), FOUND.values(), ids=FOUND.keys())
def test_what_the_fuzzer_found(exchange, frame):
    """The quick way and the careful way took these for different things."""
    adapter, _ = REAL[exchange]
    items = adapter.receive(frame)
    check(items)
    assert essence(items) == essence(careful(adapter, frame))
    assert not any(isinstance(item, Trade) for item in items)


def test_a_sample_is_bounded_however_much_there_is_of_everything():
    row = [[{"k" * 50 + str(n): "v" * 100 for n in range(50)}] * 9] * 9
    assert len(reject(Reason.NOT_AN_OBJECT, row).sample) <= MAX_SAMPLE
