"""The truth is what was sent; a replay sends what was captured."""

import json
from itertools import pairwise

import trio

from priceverse.simulator.replay import LONGEST_GAP_NS

OKX = (
    '{"arg":{"channel":"trades","instId":"%s"},"data":[{"instId":"%s","tradeId":"%d","px":"42219.90","sz":"0.10",'
    '"side":"buy","ts":"%d"}]}'
)
SUBSCRIBE = {"op": "subscribe", "args": [{"channel": "trades", "instId": "BTC-USDT"}]}


async def truth_of(path, wanted):
    """Return the lines that are wanted, once the file has been flushed."""
    await trio.sleep(0.2)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if wanted(row)]


async def test_the_truth_holds_every_trade_that_was_streamed_and_those_nobody_heard(start, tmp_path):
    path = tmp_path / "truth.jsonl"
    market = await start(speed=10.0, truth=path)
    got = {}
    async with market.connect("/binance/ws/btcusdt@trade") as client:
        while len(got) < 200:
            row = json.loads(await client.text())
            got[row["t"]] = (row["p"], row["q"], row["T"], "sell" if row["m"] else "buy")
    lines = await truth_of(path, lambda row: row["symbol"] == "BTCUSDT" and row["exchange"] == "binance")
    told = {int(row["trade_id"]): (row["price"], row["volume"], row["timestamp"], row["side"]) for row in lines}
    assert {trade_id: told[trade_id] for trade_id in got} == got
    assert {row["pair"] for row in lines} == {"btc-usd"}
    unheard = await truth_of(path, lambda row: row["exchange"] == "kucoin" and "historical" not in row)
    assert unheard
    assert all(0 <= row["sent"] - row["timestamp"] < 60_000 for row in unheard)


async def test_the_truth_has_other_symbols_once_somebody_subscribed(start, tmp_path):
    path = tmp_path / "truth.jsonl"
    market = await start(speed=20.0, truth=path)
    await trio.sleep(0.3)
    assert not await truth_of(path, lambda row: row["pair"] == "ltc-usd")
    async with market.connect("/binance/ws/ltcusdt@trade") as client:
        await client.text()
    assert await truth_of(path, lambda row: row["symbol"] == "LTCUSDT" and row["pair"] == "ltc-usd")


async def test_a_replay_sends_the_subscribed_frames_verbatim_but_for_the_times(start, tmp_path):
    base = 1_630_048_897_897
    frames = [OKX % (name, name, n, base + n * 10) for n in range(50) for name in ("BTC-USDT", "ETH-USDT")]
    capture = ['{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"}}', "pong", *frames]
    (tmp_path / "okx.jsonl").write_text("\n".join(capture), encoding="utf-8")
    truth = tmp_path / "truth.jsonl"
    market = await start(replay=tmp_path, speed=2.0, truth=truth)
    async with market.connect("/okx") as client:
        await client.say(SUBSCRIBE)
        assert json.loads(await client.text())["event"] == "subscribe"
        got = [await client.text() for _ in range(50)]
    sent = [json.loads(text)["data"][0] for text in got]
    assert [row["tradeId"] for row in sent] == [str(n) for n in range(50)]
    times = [int(row["ts"]) for row in sent]
    for n, (text, ms) in enumerate(zip(got, times, strict=True)):
        assert text.replace(str(ms), str(base + n * 10)) == OKX % ("BTC-USDT", "BTC-USDT", n, base + n * 10)
    assert all(4 <= later - earlier <= 6 for earlier, later in pairwise(times))
    lines = await truth_of(truth, lambda row: row["symbol"] == "BTC-USDT")
    assert [(row["trade_id"], row["price"], row["timestamp"]) for row in lines] == [
        (row["tradeId"], row["px"], int(row["ts"])) for row in sent
    ]
    assert market.hub.trades["binance"] == 0


async def test_a_replay_waits_for_a_subscriber_and_its_trades_are_in_rest(start, tmp_path):
    (tmp_path / "okx.jsonl").write_text(OKX % ("NEW-USDT", "NEW-USDT", 7, 1_630_048_897_897), encoding="utf-8")
    market = await start(replay=tmp_path, speed=100.0)
    await trio.sleep(0.6)
    assert market.hub.trades["okx"] == 0
    async with market.connect("/okx") as client:
        await client.say({"op": "subscribe", "args": [{"channel": "trades", "instId": "NEW-USDT"}]})
        await client.until(lambda frame: "data" in frame)
    page = await market.json("/okx/api/v5/market/trades", instId="NEW-USDT")
    assert [row["tradeId"] for row in page["data"]] == ["7"]


async def test_years_between_blocks_take_a_second_at_most(start, tmp_path):
    frames = [OKX % ("BTC-USDT", "BTC-USDT", n, ms) for n, ms in enumerate((1_630_000_000_000, 1_790_000_000_000))]
    (tmp_path / "okx.jsonl").write_text("\n".join(frames), encoding="utf-8")
    market = await start(replay=tmp_path)
    async with market.connect("/okx") as client:
        await client.say(SUBSCRIBE)
        first, second = [int((await client.until(lambda frame: "data" in frame))["data"][0]["ts"]) for _ in range(2)]
    assert second - first == LONGEST_GAP_NS // 1_000_000
