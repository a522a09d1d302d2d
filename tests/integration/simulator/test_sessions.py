"""Each venue's handshake, acks, refusals, pings and live trades, as a real WebSocket library sees them."""

import json

import pytest
import trio
from trio_websocket import ConnectionClosed

BINANCE = "/binance/stream?streams=btcusdt@trade/ethusdt@trade"


async def test_binance_streams_what_the_url_names_without_a_hole(market):
    async with market.connect(BINANCE) as client:
        ids = [(await client.until(lambda frame: frame["stream"] == "btcusdt@trade"))["data"]["t"] for _ in range(100)]
    assert ids == list(range(ids[0], ids[0] + 100))


async def test_binance_subscribes_by_message_on_a_raw_connection(market):
    async with market.connect("/binance/ws") as client:
        await client.say({"method": "SUBSCRIBE", "params": ["ethusdt@trade"], "id": 1})
        assert json.loads(await client.text()) == {"result": None, "id": 1}
        assert json.loads(await client.text())["s"] == "ETHUSDT"


async def test_kraken_greets_acknowledges_refuses_and_trades(market):
    async with market.connect("/kraken") as client:
        assert json.loads(await client.text())["channel"] == "status"
        params = {"channel": "trade", "symbol": ["BTC/USD", "NO/PE"], "snapshot": True}
        await client.say({"method": "subscribe", "params": params, "req_id": 3})
        assert json.loads(await client.text())["success"] is True
        snapshot = json.loads(await client.text())
        assert snapshot["type"] == "snapshot"
        assert json.loads(await client.text())["error"] == "Currency pair not supported NO/PE"
        update = await client.until(lambda frame: frame.get("type") == "update")
        assert update["data"][0]["trade_id"] == snapshot["data"][-1]["trade_id"] + 1


async def test_kraken_sends_several_trades_in_a_frame(market):
    async with market.connect("/kraken") as client:
        await client.say({"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"]}})
        frame = await client.until(lambda frame: frame.get("type") == "update" and len(frame.get("data", [])) > 2)
    ids = [row["trade_id"] for row in frame["data"]]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_kraken_beats_each_second_when_nothing_trades(start, tmp_path):
    quiet = await start(replay=tmp_path)
    async with quiet.connect("/kraken") as client:
        await client.say({"method": "subscribe", "params": {"channel": "trade", "symbol": ["XMR/USD"]}})
        started = trio.current_time()
        for _ in range(2):
            await client.until(lambda frame: frame.get("channel") == "heartbeat")
    assert 1.5 < trio.current_time() - started < 4


async def test_coinbase_shows_the_last_match_then_trades_and_beats(market):
    async with market.connect("/coinbase") as client:
        channels = ["matches", "heartbeat"]
        await client.say({"type": "subscribe", "product_ids": ["BTC-USD"], "channels": channels})
        last = json.loads(await client.text())
        assert (last["type"], json.loads(await client.text())["type"]) == ("last_match", "subscriptions")
        matched = []
        beat = None
        while beat is None or beat["last_trade_id"] < last["trade_id"]:
            frame = json.loads(await client.text())
            if frame["type"] == "match":
                matched.append(frame["trade_id"])
            else:
                beat = frame
        assert matched == list(range(last["trade_id"] + 1, last["trade_id"] + 1 + len(matched)))
        assert beat["last_trade_id"] in (matched[-1], last["trade_id"])


async def test_coinbase_refuses_what_it_never_listed(market):
    async with market.connect("/coinbase") as client:
        await client.say({"type": "subscribe", "product_ids": ["XMR-USD"], "channels": ["matches"]})
        assert json.loads(await client.text())["reason"] == "XMR-USD is not a valid product"


async def test_coinbase_cuts_who_does_not_subscribe(market):
    async with market.connect("/coinbase") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.text()
    assert closed.value.reason.code == 1008


async def test_okx_pushes_the_last_trade_first_and_answers_ping(market):
    async with market.connect("/okx") as client:
        await client.say("ping")
        assert await client.text() == "pong"
        args = [{"channel": "trades", "instId": name} for name in ("BTC-USDT", "XMR-USDT")]
        await client.say({"op": "subscribe", "args": args})
        assert json.loads(await client.text())["event"] == "subscribe"
        last = json.loads(await client.text())["data"][-1]
        assert json.loads(await client.text())["code"] == "60018"
        following = (await client.until(lambda frame: "data" in frame))["data"][0]
        assert int(following["tradeId"]) - int(following["count"]) == int(last["tradeId"])


async def test_bybit_answers_ping_refuses_xmr_and_trades(market):
    async with market.connect("/bybit") as client:
        await client.say({"op": "ping", "req_id": "5"})
        assert json.loads(await client.text())["ret_msg"] == "pong"
        await client.say({"op": "subscribe", "args": ["publicTrade.XMRUSDT"]})
        assert json.loads(await client.text())["success"] is False
        await client.say({"op": "subscribe", "args": ["publicTrade.BTCUSDT"]})
        assert json.loads(await client.text())["success"] is True
        assert json.loads(await client.text())["topic"] == "publicTrade.BTCUSDT"


async def kucoin_path(market) -> str:
    data = (await market.http.post("/kucoin/api/v1/bullet-public")).json()["data"]
    endpoint = data["instanceServers"][0]["endpoint"]
    assert endpoint == f"ws://127.0.0.1:{market.port}/kucoin/ws/"
    return f"/kucoin/ws/?token={data['token']}&connectId=me"


async def test_kucoin_wants_a_token_welcomes_and_trades(market):
    async with market.connect(await kucoin_path(market)) as client:
        assert json.loads(await client.text()) == {"id": "me", "type": "welcome"}
        await client.say({"id": 4, "type": "subscribe", "topic": "/market/match:BTC-USDT", "response": True})
        assert json.loads(await client.text()) == {"id": "4", "type": "ack"}
        assert json.loads(await client.text())["topic"] == "/market/match:BTC-USDT"
        await client.say({"id": "9", "type": "ping"})
        assert (await client.until(lambda frame: frame["type"] == "pong"))["id"] == "9"


async def test_kucoin_takes_a_token_once(market):
    path = await kucoin_path(market)
    async with market.connect(path) as client:
        await client.text()
    async with market.connect(path) as client:
        assert json.loads(await client.text())["code"] == 401
        with pytest.raises(ConnectionClosed):
            await client.text()


async def test_kucoin_without_its_path_is_a_bad_handshake(market):
    assert await market.refusal("/kucoin") == 400


async def test_an_unknown_venue_is_not_found(market):
    assert await market.refusal("/mtgox") == 404


async def test_a_litecoin_subscription_trades(market):
    async with market.connect("/binance/stream?streams=ltcusdt@trade") as client:
        assert json.loads(await client.text())["data"]["s"] == "LTCUSDT"


async def test_websocket_pings_are_answered_and_a_close_is_closed(market):
    async with market.connect("/kraken") as client:
        await client.websocket.ping(b"hello")
    assert client.websocket.closed.code == 1000


async def test_two_clients_of_a_venue_get_the_same_frames(market):
    async with market.connect(BINANCE) as one, market.connect(BINANCE) as other:
        late = await other.text()
        while await one.text() != late:
            pass
        assert [await one.text() for _ in range(20)] == [await other.text() for _ in range(20)]
