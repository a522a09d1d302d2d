"""A replay changes the times of captured frames and nothing else."""

import json
import re
from itertools import pairwise

import pytest

from priceverse.model.exchange import Exchange, Side
from priceverse.simulator import captured
from priceverse.simulator.match import NS_PER_MS, NS_PER_S
from priceverse.simulator.replay import LONGEST_GAP_NS, Schedule, captured_symbols, trade_frames
from tests.conftest import WIRE

LINES = {
    Exchange.BINANCE: [
        (
            '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
            '"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
        ),
        '{"e":"trade", "E": 1723161255443, "s":"ETHUSDT","t":7,"p":"2700.10","q":"1","T": 1723161255440,"m":false}',
    ],
    Exchange.KRAKEN: [
        (
            '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":84099.0,"qty":1e-8,'
            '"ord_type":"limit","trade_id":5,"timestamp":"2026-09-26T18:07:54.626190Z"},{"symbol":"ETH/USD","side":"sell",'
            '"price":2688.30,"qty":0.01600000,"ord_type":"limit","trade_id":6,"timestamp":"2026-09-26T18:07:54Z"}]}'
        ),
    ],
    Exchange.COINBASE: [
        (
            '{"type":"match","trade_id":9,"side":"sell","size":"0.04","price":"14.7775","product_id":"BTC-USD",'
            '"sequence":333938798,"time":"2026-08-09T21:04:51.99452Z"}'
        ),
    ],
    Exchange.OKX: [
        (
            '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474",'
            '"px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3","source":"0","seqId":1234}]}'
        ),
    ],
    Exchange.BYBIT: [
        (
            '{"topic":"publicTrade.BTCUSDT","ts":1786310822606,"type":"snapshot","data":[{"i":"2290000001189048101",'
            '"T":1786310822605,"p":"65140.5","v":"0.002705","S":"Buy","seq":112488547164,"s":"BTCUSDT","BT":false}]}'
        ),
    ],
    Exchange.KUCOIN: [
        (
            '{"topic":"/market/match:BTC-USDT","type":"message","subject":"trade.l3match","data":{"symbol":"BTC-USDT",'
            '"sequence":"23715934308417536","side":"sell","price":"65215.6","size":"0.04915634",'
            '"time":"1785141195448000000","tradeId":"23715934308417536","type":"match"}}'
        ),
    ],
}
OTHERS = [
    "pong",
    "",
    "null",
    "[1,2]",
    '{"result":null,"id":1}',
    '{"channel":"heartbeat"}',
    '{"channel":"trade","type":"snapshot","data":[{"symbol":"BTC/USD","trade_id":1}]}',
    '{"type":"last_match","trade_id":881613,"side":"sell","size":"0.04","price":"14.7","product_id":"BTC-USD"}',
    '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}',
    '{"success":true,"ret_msg":"subscribe","op":"subscribe"}',
    '{"id":"1","type":"welcome"}',
    '{"stream":"btcusdt@bookTicker","data":{"u":50093239295,"s":"BTCUSDT"}}',
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":17231',
    '{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"1","T":12,"m":true}}',
]


def lines(exchange: Exchange) -> list[str]:
    """Our own frames, and the captured ones where they are."""
    path = WIRE / f"{exchange}.jsonl"
    return LINES[exchange] + (path.read_text(encoding="utf-8").splitlines() if path.exists() else [])


def masked(exchange: Exchange, text: str) -> str:
    return captured.LAYOUTS[exchange].times.sub(lambda found: found[1] + re.sub(r"\d", "#", found[2]), text)


@pytest.mark.parametrize("exchange", Exchange)
def test_everything_but_the_times_stays(exchange, now_ns):
    schedule = Schedule(exchange, now_ns)
    count = 0
    for frame in trade_frames(exchange, lines(exchange)):
        replayed = schedule.place(frame).frame
        assert masked(exchange, replayed.text) == masked(exchange, frame.text)
        assert len(replayed.text) == len(frame.text)
        count += 1
    assert count >= len(LINES[exchange])


@pytest.mark.parametrize("exchange", Exchange)
def test_every_trade_is_the_captured_one_at_another_time(exchange, now_ns):
    schedule = Schedule(exchange, now_ns, 2.0)
    for frame in trade_frames(exchange, lines(exchange)):
        due = schedule.place(frame)
        for old, new in zip(
            captured.matches(exchange, frame.text), captured.matches(exchange, due.frame.text), strict=True
        ):
            assert (old.symbol, old.trade_id, old.price, old.volume, old.side) == (
                new.symbol,
                new.trade_id,
                new.price,
                new.volume,
                new.side,
            )
            assert new.time_ns <= due.at_ns


@pytest.mark.parametrize("speed", [0.5, 1.0, 20.0])
@pytest.mark.parametrize("exchange", Exchange)
def test_frames_are_due_in_order_and_gaps_are_capped(exchange, speed, now_ns):
    schedule = Schedule(exchange, now_ns, speed)
    dues = [now_ns, *(schedule.place(frame).at_ns for frame in trade_frames(exchange, lines(exchange)))]
    for earlier, later in pairwise(dues):
        assert 0 <= later - earlier <= LONGEST_GAP_NS / speed + NS_PER_MS


def test_at_speed_one_the_spacing_inside_a_block_is_exact(now_ns):
    base = 1_700_000_000_000
    schedule = Schedule(Exchange.BYBIT, now_ns)
    steps_ms = [0, 3, 250, 251, 1100, 90_000, 90_001]
    frames = trade_frames(
        Exchange.BYBIT,
        [
            f'{{"topic":"publicTrade.X","ts":{base + ms},"data":[{{"i":"1","T":{base + ms - 1},"p":"1","v":"1",'
            f'"S":"Buy","s":"X"}}]}}'
            for ms in steps_ms
        ],
    )
    stamps = [json.loads(schedule.place(frame).frame.text) for frame in frames]
    times_ms = [stamp["ts"] for stamp in stamps]
    assert [later - earlier for earlier, later in pairwise(times_ms)] == [3, 247, 1, 849, 1000, 1]
    assert all(stamp["ts"] - stamp["data"][0]["T"] == 1 for stamp in stamps)
    assert now_ns - NS_PER_MS <= times_ms[0] * NS_PER_MS <= now_ns


def test_speed_divides_the_spacing(now_ns):
    schedule = Schedule(Exchange.OKX, now_ns, 10.0)
    text = LINES[Exchange.OKX][0]
    frames = trade_frames(Exchange.OKX, [text, text.replace("1630048897897", "1630048898697")])
    first, second = (schedule.place(frame) for frame in frames)
    assert second.at_ns - first.at_ns == pytest.approx(80 * NS_PER_MS, abs=NS_PER_MS)


def test_years_between_blocks_are_one_second_and_a_step_back_is_none(now_ns):
    schedule = Schedule(Exchange.OKX, now_ns)
    text = LINES[Exchange.OKX][0]
    years = [text, text.replace("1630048897897", "1789470162718"), text]
    dues = [schedule.place(frame).at_ns for frame in trade_frames(Exchange.OKX, years)]
    assert dues[1] - dues[0] == pytest.approx(NS_PER_S, abs=NS_PER_MS)
    assert dues[2] - dues[1] == pytest.approx(0, abs=NS_PER_MS)


@pytest.mark.parametrize("exchange", Exchange)
def test_what_reports_no_live_trade_is_not_replayed(exchange):
    assert list(trade_frames(exchange, OTHERS)) == []


def test_sides_are_the_takers(now_ns):
    assert captured.matches(Exchange.BINANCE, LINES[Exchange.BINANCE][0])[0].side is Side.SELL
    assert captured.matches(Exchange.COINBASE, LINES[Exchange.COINBASE][0])[0].side is Side.BUY
    assert captured.matches(Exchange.BYBIT, LINES[Exchange.BYBIT][0])[0].side is Side.BUY


def test_numbers_are_read_as_text(now_ns):
    first, second = captured.matches(Exchange.KRAKEN, LINES[Exchange.KRAKEN][0])
    assert (first.price, first.volume, second.price) == ("84099.0", "1e-8", "2688.30")
    assert captured.matches(Exchange.OKX, LINES[Exchange.OKX][0])[0].count == 3


def test_captured_symbols_are_those_that_trade(tmp_path):
    (tmp_path / "okx.jsonl").write_text("\n".join([*OTHERS, *LINES[Exchange.OKX]]), encoding="utf-8")
    assert captured_symbols(tmp_path, Exchange.OKX) == {"BTC-USDT"}
    assert captured_symbols(tmp_path, Exchange.KRAKEN) == frozenset()


@pytest.mark.parametrize("exchange", Exchange)
def test_the_trades_of_the_captures_are_all_there(exchange):
    expected = WIRE / f"{exchange}.expected.jsonl"
    if expected.exists():
        wanted = [
            (row["symbol"], row["trade_id"], row["price"], row["volume"], row["timestamp"], row["side"])
            for row in map(json.loads, expected.read_text(encoding="utf-8").splitlines())
            if not row.get("historical")
        ]
        listed = json.loads((WIRE / f"{exchange}.symbols.json").read_text(encoding="utf-8"))
        found = [
            (row.symbol, row.trade_id, row.price, row.volume, row.time_ms, row.side.value)
            for frame in trade_frames(exchange, lines(exchange)[len(LINES[exchange]) :])
            for row in captured.matches(exchange, frame.text)
            if row.symbol in listed
        ]
        assert set(wanted) <= set(found)
