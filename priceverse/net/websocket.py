"""One WebSocket connection to an exchange: frames in batches, text out, and why it could not be had or has ended.

trio-websocket does the handshake, pings and closing; `TapStream` under it takes the data messages out. A link belongs
to whoever opened it: it is closed by leaving `async with`, and its reader never raises into the nursery it runs in.
"""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self, cast
from urllib.parse import SplitResult, urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from priceverse import __version__
from priceverse.net.errors import NetError, origin, reason, retry_after_s
from priceverse.net.frames import FrameSplitter
from priceverse.net.tap import TapStream
from priceverse.net.tls import TlsStream

BATCHES = 32
"""Batches (of at most one receive each) that may wait for the consumer before the socket is left unread."""
CLOSE_TIMEOUT_S = 1.0
SEND_TIMEOUT_S = 10.0
HEADERS = [(b"User-Agent", f"priceverse/{__version__}".encode())]
DEFAULT_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds of a link: seconds until the handshake must be done, and the longest message taken."""

    connect_timeout_s: float
    max_message_bytes: int


async def open_link(nursery: trio.Nursery, url: str, limits: LinkLimits, tls: ssl.SSLContext) -> "Link":
    """Connect to `url` (ws or wss) and return the open link; its reader runs in `nursery` until it is closed.

    Raises NetError, with the HTTP status and `Retry-After` of a refused handshake.
    """
    where = origin(url)
    try:
        with trio.fail_after(limits.connect_timeout_s):
            stream = await _connect(_checked(url, where), where, tls)
            return await Link(where, stream, limits).shake_hands(nursery, _target(url))
    except trio.TooSlowError:
        raise NetError(where, f"no connection within {limits.connect_timeout_s:g} s") from None


class Link(trio.abc.AsyncResource):
    """An open connection: iterate for batches of frames, in order, until it ends; `farewell` then says why."""

    def __init__(self, where: str, stream: trio.abc.Stream, limits: LinkLimits) -> None:
        self.where = where
        self._limits = limits
        self._put, self._get = trio.open_memory_channel[list[bytes]](BATCHES)
        self._tap = TapStream(stream, FrameSplitter(limits.max_message_bytes), self._deliver)
        self._opening = trio.CancelScope()
        self._socket: WebSocketConnection | None = None
        self._fault: Exception | None = None

    async def shake_hands(self, nursery: trio.Nursery, target: str) -> Self:
        """Do the WebSocket handshake; called once, by `open_link`. Raises NetError."""
        host = urlsplit(self.where).netloc
        try:
            with self._opening:
                self._socket = await wrap_client_stream(
                    cast("trio.Nursery", _Fence(nursery, self._read)),
                    cast("trio.SocketStream", self._tap),  # any stream does
                    host,
                    target,
                    extra_headers=list(HEADERS),
                    max_message_size=self._limits.max_message_bytes,
                )
        finally:
            if self._socket is None:
                await trio.aclose_forcefully(self._tap)
        if self._socket is None:
            raise self._refusal()
        nursery.start_soon(self._watch, self._socket)
        return self

    @property
    def last_received_s(self) -> float:
        """When the server last sent anything at all, pings included, on trio's clock."""
        return self._tap.last_received_s

    @property
    def farewell(self) -> str:
        """Why the link has ended, in one line."""
        if self._fault is not None:
            return reason(self._fault)
        closed = self._socket.closed if self._socket else None
        if closed is None or closed.code == 1006:
            return "connection lost"
        return f"closed with {closed.code} {closed.reason or closed.name.lower()}"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        try:
            return await self._get.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise StopAsyncIteration from None

    async def send(self, text: str) -> None:
        """Send one text frame. Raises NetError when the link has ended or the server does not take it."""
        assert self._socket is not None
        try:
            with trio.fail_after(SEND_TIMEOUT_S):
                await self._socket.send_message(text)
        except ConnectionClosed:
            raise NetError(self.where, self.farewell) from None
        except trio.TooSlowError:
            raise NetError(self.where, f"took nothing for {SEND_TIMEOUT_S:g} s") from None

    async def aclose(self) -> None:
        """Say goodbye and close, within a second whatever the server does."""
        self._get.close()
        try:
            with trio.move_on_after(CLOSE_TIMEOUT_S):
                if self._socket is not None:
                    await self._socket.aclose()
        finally:
            await trio.aclose_forcefully(self._tap)

    async def _deliver(self, batch: list[bytes]) -> None:
        try:
            await self._put.send(batch)
        except trio.BrokenResourceError:  # closing: nobody listens any more, but the goodbye must still be read
            await trio.lowlevel.checkpoint()

    async def _watch(self, socket: WebSocketConnection) -> None:
        """End the batches when the library calls the connection closed: the server may leave the TCP one open."""
        try:
            while True:
                await socket.get_message()  # what the tap left to it; a peer that keeps to the protocol leaves none
        except ConnectionClosed:
            self._put.close()

    async def _read(self, reader: Callable[[], Awaitable[None]]) -> None:
        """Run the library's reader to its end."""
        try:
            await reader()
        except Exception as fault:  # noqa: BLE001 - the library's boundary: what a hostile server makes it raise ends one link
            self._fault = fault
            await trio.aclose_forcefully(self._tap)
        finally:
            self._put.close()
            self._opening.cancel()

    def _refusal(self) -> NetError:
        head = self._tap.refusal
        if head is None:
            return NetError(self.where, f"no WebSocket handshake: {self.farewell}")
        asked = retry_after_s(head.headers.get("retry-after"))
        what = f"handshake refused with HTTP {head.status}"
        return NetError(self.where, what, status=head.status, retry_after_s=asked)


class _Fence:
    """The nursery that trio-websocket is given: starts its reader, fenced, in the real one."""

    def __init__(self, nursery: trio.Nursery, fence: Callable[..., Awaitable[None]]) -> None:
        self._nursery = nursery
        self._fence = fence

    def start_soon(self, reader: Callable[[], Awaitable[None]], *_: Any) -> None:  # noqa: ANN401 - the library's signature
        self._nursery.start_soon(self._fence, reader)


def _checked(url: str, where: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        raise NetError(where, "not a WebSocket URL")
    return parts


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


async def _connect(parts: SplitResult, where: str, tls: ssl.SSLContext) -> trio.abc.Stream:
    host = parts.hostname or ""
    try:
        stream = await trio.open_tcp_stream(host, parts.port or DEFAULT_PORTS[parts.scheme])
    except OSError as fault:
        raise NetError(where, f"cannot connect: {reason(fault)}") from None
    if parts.scheme == "ws":
        return stream
    secure = TlsStream(stream, tls, host)
    try:
        await secure.do_handshake()
    except (ssl.SSLError, trio.BrokenResourceError) as fault:
        await trio.aclose_forcefully(secure)
        raise NetError(where, f"no TLS: {reason(fault)}") from None
    except trio.Cancelled:
        await trio.aclose_forcefully(secure)
        raise
    return secure
