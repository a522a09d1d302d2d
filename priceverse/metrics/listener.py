"""The root's small web server: one page per path, each connection one request. Loopback or a unix socket, no login.

The rule: it can neither slow nor grow the root: few connections at a time, a short head, a deadline for everything.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import h11
import trio

CONNECTIONS = 16
DEADLINE_S = 5.0
MAX_HEAD_BYTES = 8192
_GONE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)


@dataclass(frozen=True, slots=True)
class Page:
    """What goes back."""

    content_type: str
    body: bytes
    status: int = 200


Render = Callable[[str], Page]
"""Makes a page; takes what the client accepts."""


async def serve(listeners: list[trio.SocketListener], pages: Mapping[str, Render]) -> None:
    """Answer GET on `pages` until cancelled; who comes while sixteen are being answered is turned away."""
    places = trio.CapacityLimiter(CONNECTIONS)

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.WouldBlock):
                places.acquire_on_behalf_of_nowait(stream)
                try:
                    await _attend(stream, pages)
                finally:
                    places.release_on_behalf_of(stream)

    await trio.serve_listeners(handle, listeners)


async def _attend(stream: trio.SocketStream, pages: Mapping[str, Render]) -> None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    with trio.move_on_after(DEADLINE_S), suppress(*_GONE):
        try:
            request = await _request(stream, connection)
        except h11.RemoteProtocolError as fault:
            await _reply(stream, connection, Page("text/plain", f"{fault}\n".encode(), fault.error_status_hint))
            return
        if request is not None:
            await _reply(stream, connection, answer(request, pages), head_only=request.method == b"HEAD")


def answer(request: h11.Request, pages: Mapping[str, Render]) -> Page:
    """Return the page that a request asks for."""
    path = request.target.partition(b"?")[0].decode("ascii", "replace")
    if request.method not in {b"GET", b"HEAD"}:
        return Page("text/plain", b"only GET\n", 405)
    if path not in pages:
        return Page("text/plain", f"only {', '.join(pages)}\n".encode(), 404)
    return pages[path](b",".join(value for name, value in request.headers if name == b"accept").decode("latin1"))


async def _request(stream: trio.SocketStream, connection: h11.Connection) -> h11.Request | None:
    """Read a request's head. Raises RemoteProtocolError; None if the client has gone."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await stream.receive_some(MAX_HEAD_BYTES))


async def _reply(stream: trio.SocketStream, connection: h11.Connection, page: Page, *, head_only: bool = False) -> None:
    headers = [
        ("Content-Type", page.content_type),
        ("Content-Length", str(len(page.body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    head = connection.send(h11.Response(status_code=page.status, headers=headers))
    await stream.send_all((head or b"") + (b"" if head_only else page.body))
    await stream.send_eof()


async def fetch(open_stream: Callable[[], Awaitable[trio.SocketStream]], path: str, accept: str) -> Page:
    """Ask such a server for a page. Raises OSError, trio.BrokenResourceError or h11.RemoteProtocolError.

    The caller bounds the time.
    """
    async with await open_stream() as stream:
        connection = h11.Connection(h11.CLIENT)
        headers = [("Host", "localhost"), ("Accept", accept or "*/*"), ("Connection", "close")]
        head = connection.send(h11.Request(method="GET", target=path, headers=headers))
        await stream.send_all(head + connection.send(h11.EndOfMessage()))
        return await _page(stream, connection)


async def _page(stream: trio.SocketStream, connection: h11.Connection) -> Page:
    response, body = h11.Response(status_code=502, headers=[]), bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(65536))
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            types = dict(response.headers.raw_items())
            return Page(types.get(b"Content-Type", b"").decode("latin1"), bytes(body), response.status_code)


def at(path: str) -> Callable[[], Awaitable[trio.SocketStream]]:
    """Return what connects to a unix socket."""
    return partial(trio.open_unix_socket, path)
