"""What never reaches the application: requests that Hypercorn would take and nobody should.

Measured on Hypercorn 0.18: a request with both Content-Length and Transfer-Encoding is served and the connection kept
(request smuggling behind a proxy), any method passes, and so does a head of twice the configured size if it comes in
one piece. A refused request ends its connection. While this process leaves, every answer ends its connection, so that
clients find another handler by themselves.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from priceverse.api import answers
from priceverse.api.cors import METHODS, Cors
from priceverse.api.heads import head_of
from priceverse.api.websocket import PATHS, WebSocket, refuse
from priceverse.rpc.endpoint import Endpoint
from priceverse.rpc.errors import CallError, Code

MAX_HEAD_BYTES = 16 * 1024
_METHODS = frozenset(METHODS.split(", "))
_LINE_EXTRA_BYTES = 4  # the colon, the space and the line's end

CLOSE = (b"Connection", b"close")

RawHeaders = Iterable[tuple[bytes, bytes]]


def refusal(method: str, target: bytes, headers: RawHeaders) -> CallError | None:
    """Return why a request is not to be answered by the application; None for one that is."""
    names = set()
    size = len(method) + len(target)
    for name, value in headers:
        names.add(name.lower())
        size += len(name) + len(value) + _LINE_EXTRA_BYTES
    if method not in _METHODS:
        return CallError(Code.METHOD_NOT_ALLOWED, "Method not allowed")
    if {b"transfer-encoding", b"content-length"} <= names:
        return CallError(Code.BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other")
    if size > MAX_HEAD_BYTES:
        return CallError(Code.HEADERS_TOO_LARGE, f"The request's head is larger than {MAX_HEAD_BYTES} bytes")
    return None


class Guard:
    """ASGI in front of the application."""

    def __init__(
        self, app: ASGIFramework, websocket: WebSocket, endpoint: Endpoint, leaving: Callable[[], bool], cors: Cors
    ) -> None:
        self._app = app
        self._cors = cors
        self._websocket = websocket
        self._endpoint = endpoint
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] == "http":
            target = scope["raw_path"] + scope["query_string"]
            error = refusal(scope["method"], target, scope["headers"])
            if error is None:
                await self._app(scope, receive, self._ending(send))
            else:
                await _unheard(receive, partial(self._refuse, error, _fields(scope["headers"]), send))
        elif scope["type"] == "websocket":
            error = self._websocket_refusal(scope["path"])
            if error is None:
                await self._websocket(scope, receive, send)
            else:
                await _unheard(receive, partial(refuse, error, self._endpoint, send))

    def _websocket_refusal(self, path: str) -> CallError | None:
        if path not in PATHS:
            return CallError(Code.NOT_FOUND, f"WebSockets are at {' and '.join(sorted(PATHS))}")
        return CallError(Code.OVERLOADED, "This process leaves: connect again") if self._leaving() else None

    async def _refuse(self, error: CallError, fields: Mapping[str, str], send: ASGISendCallable) -> None:
        reply = self._endpoint.refuse(error, head_of("", fields))
        others = [*self._cors.on_answer(fields.get("origin", "")), answers.NOSNIFF]
        if error.code is Code.METHOD_NOT_ALLOWED:
            others.append(("Allow", METHODS))
        headers = [(name.encode(), value.encode()) for name, value in (*reply.headers, *others)]
        headers += [(b"Content-Length", b"%d" % len(reply.body)), CLOSE]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body, "more_body": False})

    def _ending(self, send: ASGISendCallable) -> ASGISendCallable:
        """Return a `send` that tells the client to close while this process leaves."""

        async def ending(message: ASGISendEvent) -> None:
            if message["type"] == "http.response.start" and self._leaving():
                message["headers"] = [*message["headers"], CLOSE]
            await send(message)

        return ending


def _fields(headers: RawHeaders) -> dict[str, str]:
    return {name.decode("latin1").lower(): value.decode("latin1") for name, value in headers}


async def _unheard(receive: ASGIReceiveCallable, answer: Callable[[], Awaitable[None]]) -> None:
    """Answer while taking no notice of what comes: Hypercorn's queue must not fill up, or both wait for ever."""

    async def discard() -> None:
        while True:
            await receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(discard)
        await answer()
        nursery.cancel_scope.cancel()
