"""A collector against exchanges that behave and misbehave: what ends up in the streams, and what it says of itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio_websocket import WebSocketRequest
from wsproto.events import TextMessage

from priceverse.bus import stats
from priceverse.bus.client import RedisDoor
from priceverse.clock import now_ms
from priceverse.collector.reconnect import Why
from priceverse.config.settings import Redis
from priceverse.model.exchange import Exchange
from tests.fakes.relay import RedisRelay
from tests.fakes.remote import HOST, Authority, websocket_server
from tests.integration.collector.conftest import Kraken, collecting, trades_frame

Stream = Callable[..., list[dict[str, str]]]


def ids(entries: list[dict[str, str]]) -> list[int]:
    return [int(entry["trade_id"]) for entry in entries]


async def test_every_trade_of_every_frame_reaches_its_stream(
    redis_settings: Redis, stream: Stream, nursery: trio.Nursery
) -> None:
    async def script(request: WebSocketRequest) -> None:
        venue = await Kraken.accept(request)
        await venue.trade(7, 8, kind="snapshot")
        await venue.trade(9, 10, 11)
        await venue.trade(1, symbol="ETH/USD")
        await venue.trade(11, 12)
        await venue.socket.send_message('{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","price":0}]}')
        await venue.socket.send_message("not json")
        await venue.trade(13)
        await venue.stay()

    async with collecting(redis_settings, url=await websocket_server(nursery, script)) as running:
        await running.wrote(6)
        seen = running.seen
    assert ids(stream("btc-usd")) == [9, 10, 11, 12, 13]
    assert ids(stream("eth-usd")) == [1]
    first = stream("btc-usd")[0]
    assert (first["exchange"], first["price"], first["volume"], first["side"]) == (
        "kraken",
        "84099.10",
        "0.10000000",
        "buy",
    )
    assert (seen["connected"], seen["trades"]) == (True, {"btc-usd": 5, "eth-usd": 1})
    assert (seen["duplicates"], seen["historical"], sum(seen["rejects"].values())) == (1, 2, 2)
    assert sum(seen["latency_ms"].values()) == 6


async def test_over_tls_with_a_configured_authority(
    redis_settings: Redis, stream: Stream, nursery: trio.Nursery, tmp_path: Path
) -> None:
    async def script(request: WebSocketRequest) -> None:
        venue = await Kraken.accept(request)
        for first in range(0, 3000, 3):
            await venue.trade(first, first + 1, first + 2)
        await venue.stay()

    authority = Authority()
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    url = await websocket_server(nursery, script, authority.server())
    async with collecting(redis_settings, url=url, tls_ca=ca) as running:
        await running.wrote(3000)
    assert ids(stream()) == list(range(3000))


async def test_a_refused_symbol_costs_no_other(redis_settings: Redis, stream: Stream, nursery: trio.Nursery) -> None:
    async def script(request: WebSocketRequest) -> None:
        venue = await Kraken.accept(request, refuse=("XMR/USD",))
        await venue.trade(1)
        await venue.stay()

    async with collecting(redis_settings, url=await websocket_server(nursery, script)) as running:
        await running.wrote(1)
        assert running.seen["refused"] == {"XMR/USD": "Currency pair not supported XMR/USD"}
    assert ids(stream()) == [1]


async def test_after_a_cut_it_comes_back_and_counts_replays_once(
    redis_settings: Redis, stream: Stream, nursery: trio.Nursery
) -> None:
    connections = 0

    async def script(request: WebSocketRequest) -> None:
        nonlocal connections
        connections += 1
        venue = await Kraken.accept(request)
        first = connections * 10
        await venue.trade(*range(first - 5, first + 10))
        if connections < 4:
            await venue.socket.aclose(1011, "oops")
        await venue.stay()

    async with collecting(redis_settings, url=await websocket_server(nursery, script)) as running:
        await running.wrote(45)
        assert running.seen["reconnects"] == 3
        assert running.seen["error"].endswith("closed with 1011 oops")
    assert ids(stream()) == list(range(5, 50))


async def test_too_many_requests_is_obeyed_and_visible(
    redis_settings: Redis, stream: Stream, nursery: trio.Nursery
) -> None:
    attempts_s: list[float] = []

    async def script(request: WebSocketRequest) -> None:
        attempts_s.append(trio.current_time())
        if len(attempts_s) == 1:
            await request.reject(429, extra_headers=[(b"Retry-After", b"1")], body=b"slow down")
            return
        venue = await Kraken.accept(request)
        await venue.trade(1)
        await venue.stay()

    async with collecting(redis_settings, url=await websocket_server(nursery, script)) as running:
        seen = await running.until(lambda seen: seen["error"] != "")
        assert (seen["error_code"], seen["connected"]) == ("EXCHANGE_3002", False)
        assert "HTTP 429" in seen["error"]
        await running.wrote(1)
    assert attempts_s[1] - attempts_s[0] >= 1


@pytest.mark.parametrize("status", [403, 451, 503])
async def test_other_refusals_are_told_apart(redis_settings: Redis, nursery: trio.Nursery, status: int) -> None:
    async def script(request: WebSocketRequest) -> None:
        await request.reject(status)

    async with collecting(redis_settings, url=await websocket_server(nursery, script)) as running:
        seen = await running.until(lambda seen: seen["error"] != "")
    assert f"HTTP {status}" in seen["error"]
    assert seen["error_code"] == ("EXCHANGE_3001" if status == 503 else "EXCHANGE_3002")


async def test_accept_then_close_ends_with_the_attempts(redis_settings: Redis, nursery: trio.Nursery) -> None:
    async def script(request: WebSocketRequest) -> None:
        await (await request.accept()).aclose()

    url = await websocket_server(nursery, script)
    async with collecting(redis_settings, url=url, max_reconnect_attempts=4) as running:
        await running.until(lambda seen: running.ended is not None)
    assert running.ended is not None
    assert running.ended.why is Why.LOST


async def test_nobody_there_ends_with_the_attempts(redis_settings: Redis) -> None:
    with trio.socket.socket() as unused:
        await unused.bind((HOST, 0))
        url = f"ws://{HOST}:{unused.getsockname()[1]}"
        async with collecting(redis_settings, url=url, max_reconnect_attempts=4) as running:
            seen = await running.until(lambda seen: running.ended is not None)
    assert seen["error"] == f"unreachable: {url}: cannot connect: Connection refused"


async def test_a_mute_connection_is_replaced(redis_settings: Redis, stream: Stream, nursery: trio.Nursery) -> None:
    connections = 0

    async def script(request: WebSocketRequest) -> None:
        nonlocal connections
        connections += 1
        venue = await Kraken.accept(request)
        await venue.trade(connections)
        await venue.stay()

    url = await websocket_server(nursery, script)
    async with collecting(redis_settings, url=url, mute_timeout_s=1.1) as running:
        await running.wrote(2)
        assert running.seen["error"].startswith("mute: ")
    assert ids(stream()) == [1, 2]


async def test_pings_count_as_life(redis_settings: Redis, nursery: trio.Nursery) -> None:
    async def script(request: WebSocketRequest) -> None:
        venue = await Kraken.accept(request)
        for _ in range(8):
            await venue.socket.ping()
            await trio.sleep(0.4)
        await venue.trade(1)
        await venue.stay()

    url = await websocket_server(nursery, script)
    async with collecting(redis_settings, url=url, mute_timeout_s=1.1) as running:
        await running.wrote(1)
        assert running.seen["reconnects"] == 0


async def test_fragmented_frames(redis_settings: Redis, stream: Stream, nursery: trio.Nursery) -> None:
    async def script(request: WebSocketRequest) -> None:
        venue = await Kraken.accept(request)
        text = trades_frame(*range(50))
        for at in range(0, len(text), 97):
            piece = TextMessage(data=text[at : at + 97], message_finished=at + 97 >= len(text))
            await venue.socket._send(piece)
        await venue.stay()

    async with collecting(redis_settings, url=await websocket_server(nursery, script)) as running:
        await running.wrote(50)
        assert running.seen["reconnects"] == 0
    assert ids(stream()) == list(range(50))


async def test_a_frame_beyond_the_bound_ends_the_connection(redis_settings: Redis, nursery: trio.Nursery) -> None:
    async def script(request: WebSocketRequest) -> None:
        venue = await Kraken.accept(request)
        await venue.socket.send_message("x" * 5000)
        await venue.stay()

    url = await websocket_server(nursery, script)
    async with collecting(redis_settings, url=url, max_frame_bytes=1 << 12) as running:
        seen = await running.until(lambda seen: seen["reconnects"] >= 1)
    assert "1009" in seen["error"]


async def test_an_announced_shutdown_loses_nothing(
    redis_settings: Redis, stream: Stream, nursery: trio.Nursery
) -> None:
    """Binance says it on the stream; both connections carry the same trades for a while."""
    trading = trio.Event()

    async def script(request: WebSocketRequest) -> None:
        nonlocal connections
        connections += 1
        mine = connections
        socket = await request.accept()
        if mine == 1:
            await socket.send_message('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
        else:
            trading.set()
        await trading.wait()
        for trade_id in range(100):
            ms = now_ms()
            data = f'{{"e":"trade","E":{ms},"s":"BTCUSDT","t":{trade_id},"p":"1.10","q":"2","T":{ms},"m":true}}'
            await socket.send_message(f'{{"stream":"btcusdt@trade","data":{data}}}')
        await trio.sleep_forever()

    connections = 0
    url = await websocket_server(nursery, script)
    async with collecting(redis_settings, Exchange.BINANCE, url=url) as running:
        await running.wrote(100)
        await running.until(lambda seen: seen["duplicates"] == 100)
        assert connections == 2
    assert ids(stream()) == list(range(100))


async def test_nothing_is_sent_to_redis_twice_nor_lost_when_it_stops(
    redis_settings: Redis, stream: Stream, nursery: trio.Nursery
) -> None:
    async def script(request: WebSocketRequest) -> None:
        venue = await Kraken.accept(request)
        await venue.trade(*range(1000))
        await venue.stay()

    async with collecting(redis_settings, url=await websocket_server(nursery, script)) as running:
        await running.until(lambda seen: seen["trades"] != {})
    assert running.ended is None
    assert ids(stream()) == list(range(1000))


async def test_redis_away_neither_stops_reading_nor_the_process(
    redis_settings: Redis, stream: Stream, nursery: trio.Nursery
) -> None:
    async def script(request: WebSocketRequest) -> None:
        venue = await Kraken.accept(request)
        await venue.trade(*range(10))
        await go_on.wait()
        await venue.trade(*range(10, 20))
        await venue.stay()

    go_on = trio.Event()
    relay = RedisRelay(redis_settings)
    through = await relay.open(nursery)
    async with collecting(through, url=await websocket_server(nursery, script)) as running:
        await running.wrote(10)
        relay.cut()
        go_on.set()
        seen = await running.until(lambda seen: seen["redis"] == "away")
        assert (seen["connected"], sum(seen["trades"].values())) == (True, 20)
        relay.is_up = True
        await running.wrote(20)
        assert running.seen["redis"] == "ok"
    assert ids(stream()) == list(range(20))


async def test_statistics_are_on_the_bus(redis_settings: Redis, nursery: trio.Nursery) -> None:
    async def script(request: WebSocketRequest) -> None:
        venue = await Kraken.accept(request)
        await venue.stay()

    door = RedisDoor(redis_settings)
    async with collecting(redis_settings, url=await websocket_server(nursery, script)) as running:
        await running.until(lambda seen: seen["connected"])
        while True:
            reports = await stats.collect(door, "priceverse", ["collector.kraken"])
            if reports and reports["collector.kraken"]["connected"]:
                break
            await trio.sleep(0.05)
    await door.aclose()
    assert reports["collector.kraken"]["exchange"] == "kraken"
