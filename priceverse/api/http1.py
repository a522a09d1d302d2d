"""Hypercorn's HTTP/1.1 as it is used here: what a connection's bytes mean, and the applications that answer them.

What is changed in Hypercorn 0.18, each for a measured fault:

- HTTP/2 in clear text is off: a client that leaves an h2c connection raises out of the worker, and it smuggles
  requests past proxies.
- A WebSocket is never compressed, and one that sent too large a message is over: upstream says so to the client, but
  not to the application, which goes on.
- What comes for an application that has ended is dropped: upstream waits until it has room, which is for ever.
"""

import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    H11SendableEvent,
    Scope,
)
from wsproto.connection import ConnectionState

Send = Callable[[ASGISendEvent | None], Awaitable[None]]
Put = Callable[[ASGIReceiveEvent], Awaitable[None]]


class Http1(H11Protocol):
    """HTTP/1.1 that upgrades to nothing by itself and sends a response's head together with its body's beginning.

    Together they are one system call instead of three. And upstream closes at once when more bytes come behind a
    request whose answer ends the connection: between head and body that left the client with half an answer.
    """

    _head = b""

    @property
    def is_idle(self) -> bool:
        """Tell whether everything is answered and nothing of a next request is here."""
        return self.stream is None and self.connection.their_state is h11.IDLE and not self.connection.trailing_data[0]

    @property
    def has_begun(self) -> bool:
        """Tell whether a part of a head is here."""
        return self.stream is None and bool(self.connection.trailing_data[0])

    @property
    def has_heard_all(self) -> bool:
        """Tell whether a request is complete, but not yet over."""
        return self.stream is not None and self.connection.their_state is h11.DONE

    async def _create_stream(self, request: h11.Request) -> None:
        """Upstream: accept permessage-deflate for a WebSocket. Here: never; 255 KiB may say 442 MiB."""
        headers = [(name, value) for name, value in request.headers if name != b"sec-websocket-extensions"]
        await super()._create_stream(
            h11.Request(
                method=request.method, target=request.target, headers=headers, http_version=request.http_version
            )
            if len(headers) < len(request.headers)
            else request
        )

    async def _handle_events(self) -> None:
        """Upstream: go on after a message that is too large. Here: the client was told that it is over, and it is."""
        await super()._handle_events()
        stream = self.stream
        if not isinstance(stream, WSStream) or stream.state is not ASGIWebsocketState.CONNECTED:
            return
        if stream.connection.state is ConnectionState.LOCAL_CLOSING:  # and not by the application
            await self._maybe_recycle()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Upstream: switch to HTTP/2 on request. Here: never."""

    async def _send_error_response(self, status_code: int) -> None:
        """Upstream: 501 for a transfer coding that nobody knows. Here: what a client gets wrong is a 400."""
        await super()._send_error_response(400 if status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else status_code)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        try:
            data = self._head + self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        self._head = data if isinstance(event, h11.Response) else b""
        if data and not self._head:
            await self.send(RawData(data=data))


class Apps(TaskGroup):
    """The tasks of one connection."""

    async def spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: Send) -> Put:
        """Upstream: put into the full queue of an application that has ended. Here: such events are dropped."""

        async def ending(
            scope: Scope,
            receive: ASGIReceiveCallable,  # noqa: ARG001 - from the queue that upstream would wait for
            send: ASGISendCallable,
            sync_spawn: Callable[..., Any],
            call_soon: Callable[..., Any],
        ) -> None:
            with received:
                await app(scope, received.receive, send, sync_spawn, call_soon)

        put, received = trio.open_memory_channel[ASGIReceiveEvent](config.max_app_queue_size)
        await super().spawn_app(ending, config, scope, send)

        async def put_if_heard(event: ASGIReceiveEvent) -> None:
            with contextlib.suppress(trio.BrokenResourceError):
                await put.send(event)

        return put_if_heard
