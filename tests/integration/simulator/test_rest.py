"""REST over a real HTTP client: what was streamed can be fetched again, page by page, the same."""

import trio

NO_KEY = b"GET /kraken HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def streamed(market, path, subscribe, rows_of, count):
    """Return the first rows that a venue streams."""
    rows = []
    async with market.connect(path) as client:
        if subscribe:
            await client.say(subscribe)
        while len(rows) < count:
            frame = await client.until(lambda _: True)
            rows += rows_of(frame)
    return rows


async def test_binance_serves_by_id_what_it_streamed(market):
    rows = await streamed(market, "/binance/ws/btcusdt@trade", None, lambda frame: [frame], 50)
    page = await market.json("/binance/api/v3/historicalTrades", symbol="BTCUSDT", fromId=str(rows[0]["t"]), limit="50")
    assert [(row["id"], row["price"], row["qty"], row["time"], row["isBuyerMaker"]) for row in page] == [
        (row["t"], row["p"], row["q"], row["T"], row["m"]) for row in rows[:50]
    ]


async def test_kraken_pages_reach_the_present(market):
    subscribe = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}}
    rows = await streamed(
        market,
        "/kraken",
        subscribe,
        lambda frame: (
            frame["data"] if frame.get("type") == "update" and "data" in frame and frame["channel"] == "trade" else []
        ),
        20,
    )
    seen, since = [], "0"
    while True:
        result = (await market.json("/kraken/0/public/Trades", pair="XBTUSD", since=since, count="25"))["result"]
        if not result["XXBTZUSD"]:
            break
        seen += [row[6] for row in result["XXBTZUSD"]]
        since = result["last"]
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert {row["trade_id"] for row in rows} <= set(seen)


async def test_coinbase_pages_backwards_and_wants_a_user_agent(market):
    path = "/coinbase/products/BTC-USD/trades"
    newest = await market.http.get(path, params={"limit": "10"})
    older = await market.http.get(path, params={"limit": "10", "after": newest.headers["cb-after"]})
    ids = [row["trade_id"] for reply in (newest, older) for row in reply.json()]
    assert ids == list(range(ids[0], ids[0] - 20, -1))
    market.http.headers.pop("user-agent")
    assert (await market.http.get(path)).status_code == 400


async def test_okx_shows_single_fills_that_add_up_to_the_streamed_rows(market):
    subscribe = {"op": "subscribe", "args": [{"channel": "trades", "instId": "BTC-USDT"}]}
    rows = await streamed(market, "/okx", subscribe, lambda frame: frame.get("data", []), 60)
    row = next(row for row in rows[1:] if int(row["count"]) > 1)
    last, count = int(row["tradeId"]), int(row["count"])
    page = await market.json(
        "/okx/api/v5/market/history-trades", instId="BTC-USDT", after=str(last + 1), limit=str(count)
    )
    fills = page["data"]
    assert [int(fill["tradeId"]) for fill in fills] == list(range(last, last - count, -1))
    assert {fill["px"] for fill in fills} == {row["px"]}
    assert sum(round(float(fill["sz"]) * 1e8) for fill in fills) == round(float(row["sz"]) * 1e8)


async def test_bybit_and_kucoin_show_the_latest_only(market):
    await trio.sleep(0.5)
    bybit = await market.json("/bybit/v5/market/recent-trade", category="spot", symbol="BTCUSDT", limit="60")
    assert 0 < len(bybit["result"]["list"]) <= 60
    kucoin = await market.json("/kucoin/api/v1/market/histories", symbol="BTC-USDT")
    assert 0 < len(kucoin["data"]) <= 100
    assert (await market.json("/kucoin/api/v1/bullet-public"))["code"] == "405000"


async def test_the_bank_of_russia_is_there_too(market):
    reply = await market.http.get("/cbr/XML_daily.asp")
    assert reply.headers["content-type"] == "application/xml; charset=windows-1251"
    assert b"<CharCode>USD</CharCode>" in reply.content


async def test_the_front_page_tells_who_is_connected(market):
    async with market.connect("/kraken") as client:
        await client.text()
        assert (await market.json("/"))["clients"]["kraken"] == 1


async def test_one_connection_serves_many_requests_and_unknown_paths(market):
    for path, status in (("/", 200), ("/nowhere", 404), ("/kraken/0/public/Time", 200), ("/control/other", 404)):
        assert (await market.http.get(path)).status_code == status
    assert (await market.http.put("/control/faults")).status_code == 405


async def test_a_request_that_is_none_is_refused_and_harms_nobody(market):
    for rubbish in (b"GET\r\n\r\n", b"\x16\x03\x01" * 100, b"GET / HTTP/1.1\r\n\r\n", NO_KEY):
        stream = await trio.open_tcp_stream("127.0.0.1", market.port)
        async with stream:
            await stream.send_all(rubbish)
            assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 4")
    assert (await market.http.get("/")).status_code == 200


async def test_a_body_beyond_the_bound_is_refused(market):
    reply = await market.http.post("/control/faults", content=b"x" * 100_000)
    assert reply.status_code == 413
