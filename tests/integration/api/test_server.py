"""The server under an application that misbehaves: its faults end a connection at most."""

import socket

import pytest
import trio

from priceverse.api.access import Ration
from priceverse.api.listener import Server
from tests.integration.api.conftest import WAIT_S, limits, read_all

OK = [(b"content-length", b"2")]


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await trio.sleep_forever()
    match scope["path"]:
        case "/raise":
            raise RuntimeError("before the answer")
        case "/half":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError("in the middle of it")
        case "/nonsense":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"bad\nname", b"x")]})
        case "/nothing":
            return
    await send({"type": "http.response.start", "status": 200, "headers": OK})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


@pytest.fixture
async def port(nursery):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    stopping = trio.Event()
    server = Server(application, limits=limits(head_s=WAIT_S), busy=b"", ration=Ration(10, 0))
    await nursery.start(server.serve, listener, stopping, lambda: None)
    yield port
    stopping.set()


async def ask(port, path):
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
        with trio.fail_after(WAIT_S):
            return await read_all(stream)


@pytest.mark.parametrize(
    ("path", "status"),
    [(b"/raise", b"HTTP/1.1 500"), (b"/half", b"HTTP/1.1 200"), (b"/nothing", b"HTTP/1.1 500"), (b"/nonsense", None)],
)
async def test_a_fault_ends_its_own_connection_only(port, path, status):
    async with await trio.open_tcp_stream("127.0.0.1", port) as neighbour:
        said = await ask(port, path)
        assert said[:12] == (status or said[:12])
        assert b"answer" not in said
        await neighbour.send_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await read_all(neighbour)).endswith(b"ok")


async def test_no_websocket_is_compressed(port):
    """A frame of 255 KiB may say 442 MiB, and upstream unpacks it before anybody can ask how long it is."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        )
        with trio.fail_after(WAIT_S):
            said = await stream.receive_some()
    assert said.startswith(b"HTTP/1.1 101")
    assert b"extensions" not in said.lower()
