"""What the simulator does not let clients, or ports, do to it."""

import gc

import pytest
import trio
import trio.lowlevel
from trio_websocket import ConnectionClosed

from priceverse.model.exchange import Exchange, Side
from priceverse.simulator.connection import MAX_QUEUE_BYTES
from priceverse.simulator.market import Options, StartError, serve
from priceverse.simulator.match import Match

HANDSHAKE = (
    b"GET /binance/ws/btcusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def fills(first: int, count: int) -> list[Match]:
    return [Match("BTCUSDT", str(first + n), "1.00", "1.0", n, Side.BUY) for n in range(count)]


async def test_a_client_that_does_not_read_is_cut_and_the_others_are_not(start, tmp_path):
    market = await start(replay=tmp_path)
    async with await trio.open_tcp_stream("127.0.0.1", market.port) as deaf, market.connect("/binance/ws") as other:
        await deaf.send_all(HANDSHAKE)
        assert (await deaf.receive_some(4096)).startswith(b"HTTP/1.1 101")
        sent_bytes, first = 0, 1
        while market.hub.slow_clients == 0:
            market.hub.happened(Exchange.BINANCE, fills(first, 1000), 1)
            sent_bytes, first = sent_bytes + 100_000, first + 1000
            assert sent_bytes < 100 * MAX_QUEUE_BYTES
            await trio.lowlevel.checkpoint()
        assert market.hub.clients()[Exchange.BINANCE] == 1
        await other.say({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        assert await other.text() == '{"result":[],"id":1}'
    gc.collect()


async def test_a_message_beyond_the_bound_ends_the_connection(market):
    async with market.connect("/kraken") as client:
        await client.say("x" * 70_000)
        with pytest.raises(ConnectionClosed) as closed:
            await client.until(lambda _: False)
    assert closed.value.reason.code == 1009


async def test_a_taken_port_is_one_clear_line(market):
    with pytest.raises(StartError, match=f"port {market.port} on 127.0.0.1 cannot be used"):
        await serve(Options(port=market.port))


async def test_a_truth_that_cannot_be_written_is_one_clear_line(tmp_path):
    with pytest.raises(StartError, match="cannot be written"):
        await serve(Options(truth=tmp_path / "no" / "truth.jsonl"))


async def test_a_capture_that_is_no_text_is_one_clear_line(tmp_path):
    (tmp_path / "okx.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StartError, match="okx"):
        await serve(Options(replay=tmp_path))
