"""Live prices as server-sent events, to clients that read and to clients that do not."""

import json
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from priceverse.api.connection import Deadlines
from priceverse.api.listener import Limits
from tests.fakes.ports import LISTED
from tests.integration.api.conftest import WAIT_S, price_now, raw, read_all, until

STREAM = b"GET /stream/prices%s HTTP/1.1\r\nHost: a\r\n\r\n"


PATIENT = Limits(farewell_s=0.1, grace_s=1.0, deadlines=Deadlines(send_s=WAIT_S))


class Events:
    """One stream: its head, then its events one at a time."""

    def __init__(self, stream):
        self._stream = stream
        self._buffer = b""
        self.head = ""
        self.last_id = ""

    async def open(self, query="", headers=""):
        await self._stream.send_all((STREAM % query.encode())[:-2] + f"{headers}\r\n".encode())
        self.head = (await self._until(b"\r\n\r\n")).decode().lower()
        return self

    async def next(self):
        while not (line := await self._until(b"\n")).startswith(b"data: "):
            if line.startswith(b"id: "):
                self.last_id = line.removeprefix(b"id: ").decode()
        return json.loads(line.removeprefix(b"data: "))

    async def _until(self, end):
        with trio.fail_after(WAIT_S):
            while end not in self._buffer:
                data = await self._stream.receive_some()
                assert data, "the stream ended"
                self._buffer += data
        found, _, self._buffer = self._buffer.partition(end)
        return found


@pytest.fixture
def listen(handler):
    """Opens a stream."""

    @asynccontextmanager
    async def listen(query=""):
        async with raw(handler) as stream:
            yield await Events(stream).open(query)

    return listen


async def test_the_snapshot_comes_first_then_each_change(listen, publish):
    async with listen() as events:
        assert events.head.startswith("http/1.1 200")
        assert "content-type: text/event-stream" in events.head
        assert "cache-control: no-store" in events.head
        snapshot = [await events.next() for _ in LISTED]
        assert {each["pair"] for each in snapshot} == set(LISTED)
        assert snapshot[0]["priceExact"] == "64000.12345678"
        await publish([price_now("eth-usd", "2345.60000000", sequence=2)])
        change = await events.next()
        assert (change["pair"], change["priceExact"]) == ("eth-usd", "2345.60000000")
        assert {"pair", "price", "timestamp", "sources", "confidence", "asOf"} <= change.keys()
        assert "stale" not in change


async def test_only_the_pairs_asked_for(listen, publish):
    async with listen("?pairs=xmr-rub,eth-usd") as events:
        assert {(await events.next())["pair"] for _ in range(2)} == {"xmr-rub", "eth-usd"}
        await publish([price_now("btc-usd", "1.00000000", sequence=2), price_now("xmr-rub", "2.00000000", sequence=2)])
        assert (await events.next())["pair"] == "xmr-rub"


async def test_an_old_price_is_marked(listen, publish):
    async with listen("?pairs=btc-usd") as events:
        await events.next()
        await publish([price_now("btc-usd", "1.00000000", age_ms=130_000, sequence=2)])
        assert (await events.next())["stale"] is True


async def test_what_says_nothing_new_is_not_sent(listen, publish):
    same = price_now("btc-usd", "5.00000000")
    async with listen("?pairs=btc-usd") as events:
        await events.next()
        await publish([same])
        assert (await events.next())["price"] == 5
        await publish([replace(same, sequence=2), replace(same, sequence=3), price_now("btc-usd", "6.00000000")])
        assert (await events.next())["price"] == 6


@pytest.mark.parametrize(
    ("pairs", "status", "code"), [("doge-usd", 400, "VALIDATION_4001"), ("usdt-usd", 404, "PRICE_1001")]
)
async def test_a_pair_that_cannot_be_asked_for_is_refused(client, pairs, status, code):
    reply = await client.get("/stream/prices", params={"pairs": f"btc-usd,{pairs}"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


async def test_a_client_that_leaves_is_forgotten(handler, listen, publish):
    async with listen() as events:
        await events.next()
    await publish([price_now("btc-usd", "7.00000000", sequence=2)])
    await until(lambda: handler.connections == 0)


async def test_streams_end_when_the_handler_leaves(handler):
    async with raw(handler) as stream:
        await Events(stream).open()
        took_s = await handler.stop()
        assert (await read_all(stream)).endswith(b"0\r\n\r\n")  # an end, not a cut
    assert took_s < 2


async def test_clients_that_never_read_do_not_hold_up_the_stop(handler, publish):
    """Stock Hypercorn does not stop at all while one such client is there."""
    async with trio.open_nursery() as nursery:
        silent = []
        for _ in range(5):
            client = trio.socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            await client.connect(("127.0.0.1", handler.port))
            await client.send(STREAM % b"")
            silent.append(client)
        flood = trio.CancelScope()

        async def publish_much() -> None:
            with flood:
                sequence = 2
                while True:
                    padded = tuple(f"source-{sequence}-{i:05}" for i in range(500))
                    await publish([price_now(pair, sequence=sequence, sources=padded) for pair in LISTED])
                    sequence += 1

        nursery.start_soon(publish_much)
        await trio.sleep(1.5)  # the buffers are full by now
        took_s = await handler.stop()
        flood.cancel()
        for client in silent:
            client.close()
    assert took_s < 3


async def test_a_client_that_never_reads_is_dropped(handler, publish):
    client = trio.socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    await client.connect(("127.0.0.1", handler.port))
    await client.send(STREAM % b"")
    sequence = 2
    with trio.fail_after(WAIT_S):
        while not (sequence > 10 and handler.connections == 0):
            padded = tuple(f"source-{sequence}-{i:05}" for i in range(500))
            await publish([price_now(pair, sequence=sequence, sources=padded) for pair in LISTED])
            sequence += 1
    client.close()


async def test_a_browser_that_comes_back_is_sent_what_it_has_missed(handler, listen, publish):
    async with listen() as events:
        snapshot = [await events.next() for _ in LISTED]
        said = events.last_id
    await publish([price_now("eth-usd", "2345.60000000", sequence=2)])
    await until(lambda: handler.connections == 0)
    async with raw(handler) as stream:
        events = await Events(stream).open(headers=f"Last-Event-ID: {said}\r\n")
        missed = await events.next()
        await publish([price_now("btc-usd", "7.00000000", sequence=2)])
        change = await events.next()
    assert len(snapshot) == len(LISTED)
    assert (missed["pair"], missed["priceExact"]) == ("eth-usd", "2345.60000000")
    assert (change["pair"], change["price"]) == ("btc-usd", 7)


async def test_http_1_0_is_sent_no_chunks(handler, publish):
    async with raw(handler) as stream:
        await stream.send_all(b"GET /stream/prices?pairs=btc-usd HTTP/1.0\r\nHost: a\r\n\r\n")
        with trio.fail_after(WAIT_S):
            said = await stream.receive_some()
            await publish([price_now("btc-usd", "7.00000000", sequence=2)])
            while b'"7.00000000"' not in said:
                said += await stream.receive_some()
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"\r\n" not in body


async def test_a_client_that_reads_in_bits_gets_every_chunk_whole(start, publish):
    """What its socket does not take at once goes out before anything else."""
    await publish([price_now(pair) for pair in LISTED])
    handler = await start(None, PATIENT)
    client = trio.socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    await client.connect(("127.0.0.1", handler.port))
    await client.send(STREAM % b"?pairs=btc-usd")
    padded = tuple(f"source-{i:05}" for i in range(4000))
    said = b""
    with trio.fail_after(WAIT_S):
        for n in range(2, 30):
            await publish([price_now(sequence=n, sources=padded)])
            said += await client.recv(4096)
        await publish([price_now("btc-usd", "7.00000000", sequence=99)])
        while b'"7.00000000"' not in said:
            said += await client.recv(65536)
    client.close()
    text = unchunked(said.partition(b"\r\n\r\n")[2])
    events = [line.removeprefix(b"data: ") for line in text.split(b"\n") if line.startswith(b"data: ")]
    assert all(json.loads(event)["pair"] == "btc-usd" for event in events[:-1])


def unchunked(body):
    """Return what whole chunks hold; a chunk that begins in the wrong place has no size."""
    text = b""
    while b"\r\n" in body:
        size, _, rest = body.partition(b"\r\n")
        text += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return text
