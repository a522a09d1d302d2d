"""Trouble on demand, as a client meets it."""

import json

import pytest
import trio
from trio_websocket import ConnectionClosed

BINANCE = "/binance/ws/btcusdt@trade"


async def silent_for(client, seconds: float) -> bool:
    with trio.move_on_after(seconds) as patience:
        await client.text()
    return patience.cancelled_caught


async def test_drop_cuts_without_a_word_and_lets_new_ones_in(market):
    async with market.connect(BINANCE) as client:
        await client.text()
        await market.fault(fault="drop", exchange="binance")
        with pytest.raises(ConnectionClosed):
            await client.until(lambda _: False)
    async with market.connect(BINANCE) as client:
        await client.text()


async def test_mute_keeps_the_connection_and_says_nothing(market):
    async with market.connect(BINANCE) as client, market.connect("/okx") as other:
        await market.fault(fault="mute", exchange="binance", for_s=1.0)
        with trio.move_on_after(0.3):
            while True:
                await client.text()
        assert await silent_for(client, 0.4)
        await other.say("ping")
        assert await other.text() == "pong"
        assert await client.text()


async def test_accept_then_close(market):
    await market.fault(fault="accept_then_close", exchange="kraken", for_s=30)
    async with market.connect("/kraken") as client:
        with pytest.raises(ConnectionClosed):
            await client.text()


async def test_429_refuses_handshakes_and_rest_with_a_retry_after(market):
    await market.fault(fault="429", exchange="binance", for_s=30)
    assert await market.refusal(BINANCE) == 429
    reply = await market.http.get("/binance/api/v3/trades", params={"symbol": "BTCUSDT"})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "30")
    assert (await market.http.get("/kraken/0/public/Trades", params={"pair": "XBTUSD"})).status_code == 200


async def test_a_gap_is_in_rest(market):
    await market.fault(fault="gap", exchange="binance", for_s=30, probability=0.2)
    async with market.connect(BINANCE) as client:
        got = [json.loads(await client.text())["t"] for _ in range(100)]
    missing = set(range(got[0], got[-1])) - set(got)
    assert missing
    page = await market.json("/binance/api/v3/historicalTrades", symbol="BTCUSDT", fromId=str(got[0]), limit="1000")
    assert missing <= {row["id"] for row in page}


async def test_duplicates_and_swaps_lose_nothing(market):
    await market.fault(fault="duplicate", exchange="binance", for_s=30, probability=0.3)
    await market.fault(fault="reorder", exchange="binance", for_s=30, probability=0.3)
    async with market.connect(BINANCE) as client:
        got = [json.loads(await client.text())["t"] for _ in range(300)]
    assert len(set(got)) < len(got)
    assert got != sorted(got)
    assert set(range(min(got) + 2, max(got) - 2)) <= set(got)


async def test_slow_delays_everything(market):
    await market.fault(fault="slow", exchange="okx", for_s=30, delay_ms=400)
    async with market.connect("/okx") as client:
        started = trio.current_time()
        await client.say("ping")
        assert await client.text() == "pong"
        assert trio.current_time() - started >= 0.39


async def test_a_depeg_reaches_the_tape(start):
    market = await start(speed=50.0)
    await market.fault(fault="depeg", for_s=30, peg=0.8)
    async with market.connect("/kraken") as client:
        await client.say({"method": "subscribe", "params": {"channel": "trade", "symbol": ["USDT/USD"]}})
        await client.until(lambda frame: "data" in frame and frame["data"][0].get("price", 1) < 0.82)


async def test_faults_are_listed_and_cleared(market):
    listed = (await market.fault(fault="slow", exchange="okx", for_s=30, delay_ms=7)).json()["faults"]
    assert (listed[0]["fault"], listed[0]["exchange"], listed[0]["delay_ms"]) == ("slow", "okx", 7)
    assert (await market.http.delete("/control/faults")).json() == {"faults": []}
    assert await market.json("/control/faults") == {"faults": []}


@pytest.mark.parametrize(
    "order", [{"fault": "flood"}, {"fault": "mute", "exchange": "mtgox"}, {"fault": "mute", "x": 1}, {}]
)
async def test_an_impossible_fault_is_refused(market, order):
    reply = await market.fault(**order)
    assert reply.status_code == 400
    assert reply.json()["error"]
    assert "mute" in reply.json()["known"]


async def test_a_fault_that_is_not_json_is_refused(market):
    assert (await market.http.post("/control/faults", content=b"{")).status_code == 400
