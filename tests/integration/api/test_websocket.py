"""The WebSocket, to a client that nobody here wrote (`websockets`, which has threads of its own) and to raw bytes."""

import base64
import json
import os
import socket
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import pytest
import trio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from priceverse.api import limits, websocket
from priceverse.api.connection import Deadlines
from priceverse.api.listener import Limits
from priceverse.config.settings import Api, RateLimit
from tests.fakes.ports import LISTED
from tests.integration.api.conftest import WAIT_S, price_now, raw, read_all, until

STREAM = {"service": "PricesService@2.0.0", "method": "streamPrices"}
CALL = {"service": "PricesService@2.0.0", "method": "getPrice", "input": {"pair": "btc-usd"}}


class Client:
    """A connection of the library's, used from trio."""

    def __init__(self, connection):
        self._connection = connection

    async def say(self, **message):
        text = json.dumps(message)
        await trio.to_thread.run_sync(self._connection.send, text)

    async def hear(self):
        text = await trio.to_thread.run_sync(partial(self._connection.recv, timeout=WAIT_S))
        return json.loads(text)

    async def closed(self):
        """Read on to the end; return the code."""
        try:
            while True:
                await self.hear()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else None

    async def send_raw(self, data):
        await trio.to_thread.run_sync(self._connection.send, data)

    async def ping(self):
        pong = await trio.to_thread.run_sync(self._connection.ping)
        assert await trio.to_thread.run_sync(pong.wait, WAIT_S)


@asynccontextmanager
async def connected(handler, path="/netron/ws", **given):
    url = f"ws://127.0.0.1:{handler.port}{path}"
    opening = partial(connect, url, open_timeout=WAIT_S, close_timeout=WAIT_S, **given)
    with ExitStack() as stack:  # the library wants `with`, and its own threads
        connection = await trio.to_thread.run_sync(lambda: stack.enter_context(opening()))
        try:
            yield Client(connection)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(stack.close)


@pytest.fixture
async def client(handler):
    async with connected(handler) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/netron/ws"])
async def test_a_call_is_answered_as_over_http(handler, path):
    async with connected(handler, path) as client, handler.client() as http:
        asked = {"id": "1", **CALL}
        await client.say(**asked)
        said, over_http = await client.hear(), (await http.post("/netron/invoke", json=asked)).json()
    volatile = {"timestamp": 0, "hints": 0}
    assert said | volatile == over_http | volatile
    assert said["data"]["pair"] == "btc-usd"


async def test_a_stream_is_a_snapshot_then_changes(client, publish):
    await client.say(id="s", **STREAM)
    snapshot = [await client.hear() for _ in LISTED]
    assert {each["data"]["pair"] for each in snapshot} == set(LISTED)
    assert {(each["id"], each["type"]) for each in snapshot} == {("s", "data")}
    await publish([price_now("eth-usd", "2345.60000000", sequence=2)])
    change = (await client.hear())["data"]
    assert (change["pair"], change["priceExact"]) == ("eth-usd", "2345.60000000")
    assert {"pair", "price", "timestamp"} <= change.keys()


async def test_only_the_pairs_asked_for(client, publish):
    await client.say(id="s", **STREAM, input=[{"pairs": ["xmr-usd"]}])
    assert (await client.hear())["data"]["pair"] == "xmr-usd"
    await publish([price_now("btc-usd", "1.00000000", sequence=2), price_now("xmr-usd", "2.00000000", sequence=2)])
    assert (await client.hear())["data"]["price"] == 2


async def test_streams_and_calls_side_by_side(client):
    await client.say(id="a", **STREAM, input={"pairs": ["btc-usd"]})
    await client.say(id="b", **STREAM, input={"pairs": ["eth-usd"]})
    await client.say(id="c", **CALL)
    heard = {each["id"]: each["data"]["pair"] for each in [await client.hear() for _ in range(3)]}
    assert heard == {"a": "btc-usd", "b": "eth-usd", "c": "btc-usd"}


async def test_a_cancelled_stream_ends_and_its_id_is_free(client, publish):
    for _ in range(2):
        await client.say(id="s", **STREAM, input={"pairs": ["btc-usd"]})
        assert (await client.hear())["type"] == "data"
        await client.say(id="s", type="cancel")
        assert await client.hear() == {"id": "s", "type": "end"}
    await publish([price_now("btc-usd", "9.00000000", sequence=2)])
    await client.say(id="c", **CALL)
    assert (await client.hear())["id"] == "c"


async def test_an_id_is_good_for_one_stream_at_a_time(client):
    await client.say(id="s", **STREAM, input={"pairs": ["btc-usd"]})
    await client.hear()
    await client.say(id="s", **STREAM)
    assert (await client.hear())["error"]["code"] == "400"


async def test_a_stream_ends_after_its_time(client):
    await client.say(id="s", **STREAM, input={"pairs": ["btc-usd"]}, hints={"timeout": 100})
    assert (await client.hear())["type"] == "data"
    end = await client.hear()
    assert (end["type"], end["success"], end["error"]["code"]) == ("error", False, "STREAM_6002")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"id": "x", **STREAM, "input": {"pairs": ["doge-usd"]}}, "VALIDATION_4001"),
        ({"id": "x", **STREAM, "input": {"pairs": ["usdt-usd"]}}, "PRICE_1001"),
        ({"id": "x", **STREAM, "input": {"pairs": "btc-usd"}}, "VALIDATION_4004"),
        ({"id": "x", **CALL, "method": "none"}, "404"),
        ({"id": "x"}, "400"),
        ({"id": "x", "type": "dance"}, "400"),
    ],
)
async def test_errors_are_answered(client, message, code):
    await client.say(**message)
    said = await client.hear()
    assert (said["id"], said["success"], said["error"]["code"]) == ("x", False, code)


@pytest.mark.parametrize("data", ["{", "", "[]", "null", '"x"', '{"id":{}}', "[" * 50_000, b"\x00\xff", b"{}"])
async def test_rubbish_is_answered_and_the_connection_stays(client, data):
    await client.send_raw(data)
    assert (await client.hear())["error"]["code"] == "400"
    await client.say(id="c", **CALL)
    assert (await client.hear())["success"] is True


async def test_pings_of_both_kinds_are_answered(client):
    await client.ping()
    await client.say(type="ping")
    assert await client.hear() == {"type": "pong"}
    await client.say(id="p", type="ping")
    assert await client.hear() == {"id": "p", "type": "pong"}


async def test_a_message_too_large_ends_the_connection(client):
    await client.send_raw("x" * 70_000)
    assert await client.closed() == 1009


async def test_compression_is_not_agreed_to(handler):
    async with connected(handler, compression="deflate") as client:
        assert client._connection.protocol.extensions == []


async def test_another_path_is_no_websocket(handler):
    with pytest.raises(InvalidStatus) as refused:
        async with connected(handler, "/stream/prices"):
            pass
    response = refused.value.response
    assert (response.status_code, json.loads(response.body)["error"]["code"]) == (404, "404")


async def test_a_key_that_is_not_known_is_refused(handler):
    with pytest.raises(InvalidStatus) as refused:
        async with connected(handler, additional_headers={"Authorization": "Bearer pv_1_2"}):
            pass
    assert refused.value.response.status_code == 401


async def test_who_leaves_is_forgotten(handler, client):
    await client.say(id="s", **STREAM)
    await client.hear()
    await trio.to_thread.run_sync(client._connection.close)
    await until(lambda: handler.connections == 0)


async def test_who_asks_nothing_is_dropped_and_who_streams_is_not(handler, monkeypatch, publish):
    monkeypatch.setattr(websocket, "IDLE_S", 0.3)
    async with connected(handler) as idle, connected(handler) as busy:
        await busy.say(id="s", **STREAM, input={"pairs": ["btc-usd"]})
        await busy.hear()
        assert await idle.closed() == 1001
        await trio.sleep(0.4)
        await publish([price_now("btc-usd", "3.00000000", sequence=2)])
        assert (await busy.hear())["data"]["price"] == 3


async def test_too_many_calls_at_once_end_the_connection(handler, monkeypatch):
    monkeypatch.setattr(websocket, "MAX_CALLS", 0)
    async with connected(handler) as client:
        await client.say(id="c", **CALL)
        assert await client.closed() == 1013


async def test_when_the_handler_leaves_streams_are_told_and_clients_sent_away(handler):
    async with connected(handler) as streaming, connected(handler) as idle:
        await streaming.say(id="s", **STREAM, input={"pairs": ["btc-usd"]})
        assert (await streaming.hear())["type"] == "data"
        took_s = await handler.stop()
        assert (await streaming.hear())["error"]["code"] == "STREAM_6001"
        assert await streaming.closed() == 1001
        assert await idle.closed() == 1001
    assert took_s < WAIT_S / 2


@pytest.fixture
def two_streams(settings):
    return settings.model_copy(update={"api": Api(rate_limit=RateLimit(streams=2, methods={"getPrice": 3}))})


async def test_a_client_has_so_many_streams_of_either_kind(start, publish, two_streams):
    await publish([price_now("btc-usd")])
    handler = await start(two_streams)
    async with connected(handler) as client, raw(handler) as sse:
        await sse.send_all(b"GET /stream/prices?pairs=btc-usd HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b" 200 " in await sse.receive_some()
        await client.say(id="a", **STREAM, input={"pairs": ["btc-usd"]})
        assert (await client.hear())["type"] == "data"
        await client.say(id="b", **STREAM)
        assert (await client.hear())["error"]["code"] == "429"
        async with handler.client() as http:
            assert (await http.get("/stream/prices")).status_code == 429
        await client.say(id="a", type="cancel")
        await client.hear()
        await client.say(id="b", **STREAM)
        assert (await client.hear())["type"] == "data"


async def test_the_handlers_of_an_instance_count_streams_together(start, publish, two_streams, tmp_path):
    await publish([price_now("btc-usd")])
    supervisor = two_streams.supervisor.model_copy(update={"control_socket": tmp_path / "control.sock"})
    settings = two_streams.model_copy(update={"supervisor": supervisor})
    one, two = await start(settings), await start(settings)
    async with connected(two) as there:
        async with connected(one) as here:
            for client in (here, there):
                await client.say(id="a", **STREAM, input={"pairs": ["btc-usd"]})
                assert (await client.hear())["type"] == "data"
            await there.say(id="b", **STREAM)
            assert (await there.hear())["error"]["code"] == "429"
        await one.stop()
        await there.say(id="b", **STREAM, input={"pairs": ["btc-usd"]})
        assert (await there.hear())["type"] == "data"


async def test_calls_are_charged_as_over_http(start, publish, two_streams, monkeypatch):
    monkeypatch.setattr(limits, "monotonic_ns", lambda: 10**15)  # however slow the machine is
    await publish([price_now("btc-usd")])
    handler = await start(two_streams)
    async with connected(handler) as client:
        heard = []
        for i in range(4):
            await client.say(id=str(i), **CALL)
            heard.append((await client.hear()).get("error", {}).get("code"))
    assert heard == [None, None, None, "429"]


def masked(text: bytes, opcode=1):
    key = os.urandom(4)
    body = bytes(byte ^ key[i % 4] for i, byte in enumerate(text))
    if len(text) < 126:
        size = bytes([0x80 | len(text)])
    else:
        size = bytes([0x80 | 126]) + len(text).to_bytes(2) if len(text) < 1 << 16 else b"\xff" + len(text).to_bytes(8)
    return bytes([0x80 | opcode]) + size + key + body


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef") + b"\r\n\r\n"
)


async def shake_hands(stream):
    await stream.send_all(HANDSHAKE)
    with trio.fail_after(WAIT_S):
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")


async def test_frames_split_anywhere_and_several_at_once(handler):
    frames = masked(json.dumps({"id": "1", **CALL}).encode()) * 2 + masked(b"\x03\xe8", 8)
    async with raw(handler) as stream:
        await shake_hands(stream)
        for at in range(0, len(frames), 37):
            await stream.send_all(frames[at : at + 37])
            await trio.sleep(0.001)
        assert (await read_all(stream)).count(b'"id":"1"') == 2


@pytest.mark.parametrize(
    "rubbish",
    [b"\x81\x05hello", b"\xff" * 64, masked(b"x", 3), masked(b"\xff\xff")],
    ids=["unmasked", "noise", "unknown opcode", "no text"],
)
async def test_frames_that_are_none_end_the_connection_and_nothing_else(handler, rubbish):
    async with raw(handler) as stream, handler.client() as http:
        await shake_hands(stream)
        await stream.send_all(rubbish)
        await read_all(stream)
        assert (await http.get("/health/live")).status_code == 200
    await until(lambda: handler.connections <= 1)


async def test_a_client_that_never_reads_is_dropped(handler, publish):
    client = trio.socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    await client.connect(("127.0.0.1", handler.port))
    await client.send(HANDSHAKE)
    await client.recv(4096)
    await client.send(masked(json.dumps({"id": "s", **STREAM}).encode()))
    sequence = 2
    with trio.fail_after(WAIT_S * 2):
        while not (sequence > 10 and handler.connections == 0):
            padded = tuple(f"source-{sequence}-{i:05}" for i in range(500))
            await publish([price_now(pair, sequence=sequence, sources=padded) for pair in LISTED])
            sequence += 1
    client.close()


async def test_a_client_that_reads_in_bits_gets_every_message_whole(start, publish):
    """What its socket does not take at once goes out before the answer to a call does."""
    await publish([price_now(pair) for pair in LISTED])
    handler = await start(None, Limits(farewell_s=0.1, grace_s=1.0, deadlines=Deadlines(send_s=WAIT_S)))
    client = trio.socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    await client.connect(("127.0.0.1", handler.port))
    await client.send(HANDSHAKE)
    said = (await client.recv(4096)).partition(b"\r\n\r\n")[2]
    await client.send(masked(json.dumps({"id": "s", **STREAM, "input": {"pairs": ["btc-usd"]}}).encode()))
    padded = tuple(f"source-{i:05}" for i in range(4000))
    with trio.fail_after(2 * WAIT_S):
        for n in range(2, 30):
            await publish([price_now(sequence=n, sources=padded)])
            await client.send(masked(json.dumps({"id": f"c{n}", **CALL, "input": {"pair": "eth-usd"}}).encode()))
            said += await client.recv(4096)
        await publish([price_now("btc-usd", "7.00000000", sequence=99)])
        while said.count(b'"id":"c') < 28 or b'"7.00000000"' not in said:
            said += await client.recv(65536)
    client.close()
    heard = [json.loads(text)["id"] for text in unframed(said)]
    assert {each for each in heard if each != "s"} == {f"c{n}" for n in range(2, 30)}


def unframed(said):
    """Yield the texts of whole frames; one that begins in the wrong place is none."""
    while len(said) >= 10:
        size, at = said[1], 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(said[2:at], "big")
        if len(said) < at + size:
            return
        if said[0] == 0x81:
            yield said[at : at + size]
        said = said[at + size :]


@pytest.mark.parametrize("message", [CALL, {"type": "ping"}], ids=["calls", "pings"])
async def test_who_says_too_much_at_once_is_sent_away_and_forgotten(handler, monkeypatch, message):
    """More messages than wait for the session when it ends: nobody will ever hear them, and no answer is kept."""
    monkeypatch.setattr(websocket, "MAX_CALLS", 0)
    async with raw(handler) as stream:
        await shake_hands(stream)
        await stream.send_all(masked(json.dumps({"id": "1", **message}).encode()) * 500)
        assert (await read_all(stream)).startswith(b"\x88\x02" + (1013).to_bytes(2))
        await until(lambda: handler.connections == 0)


async def test_a_client_that_does_not_take_its_leave_is_forgotten_too(handler):
    """It follows prices, sends what is too large, and neither answers the close nor goes."""
    async with raw(handler) as stream:
        await shake_hands(stream)
        await stream.send_all(masked(json.dumps({"id": "s", **STREAM}).encode()))
        await stream.send_all(masked(b"x" * 70_000))
        assert b"\x88\x02" + (1009).to_bytes(2) in await read_all(stream)
        await until(lambda: handler.connections == 0)


async def test_a_stream_may_be_cancelled_in_the_same_breath(handler):
    cancelled = [{"id": f"s{i}", **STREAM} for i in range(60)]
    said = [message for call in cancelled for message in (call, {"id": call["id"], "type": "cancel"})]
    async with raw(handler) as stream:
        await shake_hands(stream)
        await stream.send_all(b"".join(masked(json.dumps(message).encode()) for message in said))
        heard = b""
        with trio.fail_after(WAIT_S):
            while heard.count(b'"type":"end"') < len(cancelled) and (data := await stream.receive_some()):
                heard += data
    assert heard.count(b'"type":"end"') == len(cancelled)
