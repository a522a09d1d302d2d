"""`/` and `/netron/ws`: calls and streams as JSON messages on one WebSocket.

    {"id", "service", "method", "input"}    a call, answered as POST /netron/invoke would answer it
    … "method": "streamPrices"              {"id", "type": "data", "data": {price}} now and with each change
    {"id", "type": "cancel"}                ends a stream: {"id", "type": "end"}
    {"type": "ping"}                        {"type": "pong"}

A stream ends with {"id", "type": "error", "error"}: STREAM_6001 when this process leaves, STREAM_6002 after the
`hints.timeout` that its client gave it. The rule: what a client sends is always read, and what it does not read is not
kept: a stream holds one event per pair, and a client that takes nothing for the send deadline is dropped.
"""

import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

from priceverse.api.broadcast import Broadcast, Events, WriteNow
from priceverse.api.seats import Seats
from priceverse.rpc import envelope
from priceverse.rpc.dispatch import Dispatcher
from priceverse.rpc.endpoint import Endpoint, Head
from priceverse.rpc.envelope import Call, Request
from priceverse.rpc.errors import CallError, Code

PATHS = frozenset({"/", "/netron/ws"})
IDLE_S = 75.0
"""A client without a stream that asks nothing for so long is dropped."""

PING_S = 20.0
"""How often a client is asked for a sign: one that is gone does not acknowledge it, and TCP ends the connection."""

PING = b"\x89\x00"

FAREWELL_S = 0.1
"""So long the streams have to tell their clients that this process leaves."""

MAX_CALLS = 64
"""Of one connection at once, pings too; it has more than that in HTTP's turn-by-turn way only by being an attack."""

GOING_AWAY, POLICY, TRY_LATER = 1001, 1008, 1013
_TEXT = 0x81

Write = Callable[[bytes], Awaitable[None]]
Identify = Callable[[Any], Awaitable[Head]]


class _Word(msgspec.Struct, omit_defaults=True):
    """What a message may be beside a call."""

    id: str | None = None
    type: str | None = None


_words = msgspec.json.Decoder(_Word)


@dataclass(frozen=True, slots=True)
class Doors:
    """What every session needs. `identify` tells whose connection it is. Raises CallError for one not to be let in."""

    endpoint: Endpoint
    dispatcher: Dispatcher
    broadcast: Broadcast
    seats: Seats
    identify: Identify


def frame(text: bytes) -> bytes:
    """Return a whole text frame as a server sends it: it needs no mask, so it is made once for many."""
    size = len(text)
    if size < 126:
        return bytes((_TEXT, size)) + text
    return struct.pack(*(("!BBH", _TEXT, 126, size) if size < 1 << 16 else ("!BBQ", _TEXT, 127, size))) + text


@dataclass(frozen=True, slots=True)
class Frames:
    """A stream as messages: the `Form` of what a client follows under an id of its own."""

    pairs: frozenset[str]
    stream_id: str

    def render(self, events: Events, known: Events) -> bytes:  # noqa: ARG002 - a client has no way to tell what it knows
        """Return a message for each event."""
        start = b'{"id":%b,"type":"data","data":' % envelope.encode(self.stream_id)
        return b"".join([frame(start + event + b"}") for event in events.values()])


class WebSocket:
    """ASGI for WebSockets. The connection's `state` has `write` and `write_now`, which send bytes past Hypercorn."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def __call__(self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ANN401
        """Serve one connection."""
        await receive()  # websocket.connect
        try:
            head = await self._doors.identify(scope)
        except CallError as error:
            await refuse(error, self._doors.endpoint, send)
            return
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        code = await Session(self._doors, head, **scope["state"]).run(receive)
        if code is not None:
            await send({"type": "websocket.close", "code": code, "reason": None})


class Session:
    """One client's calls and streams."""

    def __init__(self, doors: Doors, head: Head, *, write: Write, write_now: WriteNow) -> None:
        self._doors = doors
        self._head = head
        self._write = write
        self._write_now = write_now
        self._streams: dict[str, trio.CancelScope] = {}
        self._calls = 0
        self._code: int | None = None
        self._idle = trio.CancelScope()

    async def run(self, receive: ASGIReceiveCallable) -> int | None:
        """Serve until the client leaves (None) or is to be sent away, with which code."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._leave, nursery.cancel_scope)
            nursery.start_soon(self._ping)
            with self._idle:
                self._rest()
                await self._read(receive, nursery)
            if self._idle.cancelled_caught:
                self._code = GOING_AWAY
            nursery.cancel_scope.cancel()
        return self._code

    async def _read(self, receive: ASGIReceiveCallable, nursery: trio.Nursery) -> None:
        while self._code is None:
            message: Any = await receive()
            if message["type"] != "websocket.receive":
                return
            text = message.get("text")
            body = text.encode() if text is not None else message.get("bytes") or b""
            self._hear(body, nursery)
            self._rest()

    def _hear(self, body: bytes, nursery: trio.Nursery) -> None:
        word = _word(body)
        if word.type == "cancel":
            stream = self._streams.get(word.id or "")
            if stream is not None:
                stream.cancel()
        elif self._calls >= MAX_CALLS:
            self._code = TRY_LATER
        else:
            self._calls += 1
            if word.type == "ping":
                nursery.start_soon(self._end_call, envelope.encode(_Word(word.id, "pong")))
            else:
                self._begin(body, nursery)

    def _begin(self, body: bytes, nursery: trio.Nursery) -> None:
        """Begin to answer a call. A stream is known by its id at once: what cancels it may come right behind."""
        request = envelope.parse(body, "")
        call = request.content
        if isinstance(call, CallError) or not self._doors.dispatcher.is_stream(call):
            nursery.start_soon(self._answer, body)
        elif request.id in self._streams:
            error = CallError(Code.BAD_REQUEST, "A stream with this id is open", {"path": "$.id"})
            nursery.start_soon(self._end_call, self._doors.endpoint.reply(request, error, self._head).body)
        else:
            stream = self._streams[request.id] = trio.CancelScope()
            nursery.start_soon(self._stream, request, call, stream)

    async def _answer(self, body: bytes) -> None:
        await self._end_call((await self._doors.endpoint.invoke(body, self._head)).body)

    async def _end_call(self, last: bytes) -> None:
        try:
            await self._write(frame(last))
        finally:
            self._calls -= 1
            self._rest()

    async def _stream(self, request: Request, call: Call, stream: trio.CancelScope) -> None:
        """Follow prices until the stream ends, or say why there is none."""
        try:
            last = envelope.encode(await self._follow(request.id, call, stream))
        except CallError as error:
            last = self._doors.endpoint.reply(request, error, self._head).body
        finally:
            del self._streams[request.id]
        await self._end_call(last)

    async def _follow(self, stream_id: str, call: Call, stream: trio.CancelScope) -> dict[str, object]:
        """Send what changes until the stream ends; return what tells of that. Raises CallError if it cannot begin."""
        broadcast, seats, client = self._doors.broadcast, self._doors.seats, self._head.client
        pairs = await self._doors.dispatcher.subscribe(call)
        if stream.cancel_called:  # before it began: it needs no seat
            return _end(stream_id, closed=False, expired=False)
        seats.check(client)
        seats.sit(client)
        self._calls -= 1  # it is a stream from here on, and not limited as a call
        channel = broadcast.open(Frames(pairs, stream_id), self._write_now)
        stream.deadline = inf if call.timeout_s is None else trio.current_time() + call.timeout_s
        try:
            with stream:
                while frames := await channel.next():
                    if not self._write_now(frames):  # it nearly always does, for a tenth of what waiting costs
                        await self._write(frames)
        finally:
            broadcast.leave(channel)
            seats.leave(client)
            self._calls += 1
        return _end(stream_id, closed=channel.closed, expired=trio.current_time() >= stream.deadline)

    async def _leave(self, session: trio.CancelScope) -> None:
        """Send the client away when this process leaves, after its streams have been told."""
        await self._doors.broadcast.closing.wait()
        await trio.sleep(FAREWELL_S)
        self._code = GOING_AWAY
        session.cancel()

    async def _ping(self) -> None:
        while True:
            await trio.sleep(PING_S)
            await self._write(PING)

    def _rest(self) -> None:
        """Begin to count idle time anew, if there is any."""
        busy = bool(self._streams) or self._calls
        self._idle.deadline = inf if busy else trio.current_time() + IDLE_S


def _word(body: bytes) -> _Word:
    """Return a message's type, if it has one that can be told; whatever is wrong with it the endpoint will say."""
    try:
        return _words.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Word()


def _end(stream_id: str, *, closed: bool, expired: bool) -> dict[str, object]:
    if not closed and not expired:
        return {"id": stream_id, "type": "end"}
    code = Code.STREAM_ABORTED if closed else Code.STREAM_TIMEOUT
    message = "This process leaves: connect again" if closed else "The stream's time is over"
    return {"id": stream_id, "type": "error", "success": False, "error": {"code": code, "message": message}}


async def refuse(error: CallError, endpoint: Endpoint, send: ASGISendCallable) -> None:
    """Answer the handshake with an HTTP response."""
    reply = endpoint.refuse(error, Head())
    headers = [(name.encode(), value.encode()) for name, value in reply.headers]
    headers += [(b"Content-Length", b"%d" % len(reply.body)), (b"Connection", b"close")]
    await send({"type": "websocket.http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": reply.body, "more_body": False})
