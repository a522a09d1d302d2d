"""Remote hosts on loopback: a WebSocket server or a raw TCP one, each running a script per connection."""

import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio
import trustme
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

Script = Callable[[WebSocketRequest], Awaitable[None]]
RawScript = Callable[[trio.abc.Stream], Awaitable[None]]

HOST = "127.0.0.1"


class Authority:
    """A certificate authority of this test run, with a certificate for loopback."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or (HOST,))).configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context

    @property
    def pem(self) -> bytes:
        return self._ca.cert_pem.bytes()


async def websocket_server(nursery: trio.Nursery, script: Script, tls: ssl.SSLContext | None = None) -> str:
    """Serve `script` to every connection and return the URL."""

    async def connection(request: WebSocketRequest) -> None:
        with suppress(ConnectionClosed):  # clients may leave at any moment
            await script(request)

    server = await nursery.start(partial(serve_websocket, connection, HOST, 0, tls))
    return f"ws{'s' if tls else ''}://{HOST}:{server.port}"


async def raw_server(nursery: trio.Nursery, script: RawScript, tls: ssl.SSLContext | None = None) -> int:
    """Serve `script` to every TCP connection and return the port."""

    async def connection(stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                await script(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    listeners = (
        await trio.open_ssl_over_tcp_listeners(0, tls, host=HOST)
        if tls
        else await trio.open_tcp_listeners(0, host=HOST)
    )
    await nursery.start(partial(trio.serve_listeners, connection, listeners))
    listener = listeners[0]
    inner = listener.transport_listener if isinstance(listener, trio.SSLListener) else listener
    return inner.socket.getsockname()[1]


async def read_request(stream: trio.abc.Stream) -> bytes:
    """Read one HTTP request head."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        if not data:
            break
        head += data
    return head
