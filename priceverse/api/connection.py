"""One client's connection: the lane and Hypercorn's HTTP/1.1 by turns on one trio stream, held to deadlines.

What is changed in Hypercorn 0.18, each for a measured fault:

- Sending has a deadline. Upstream shields `send_all` without one: a client that does not read makes the worker
  unstoppable.
- A request's head has a deadline of its own, so that the idle time of a good client can be long and a slow head short.
- Deadlines are the reader's, not a task's for each pause between two requests; so the lane has them for nothing.
- Closing is half-closing, then reading on for a moment: a close with unread bytes is a reset, and the client that
  was just told 413 would never read it.
"""

import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from priceverse.api.http1 import Apps, Http1
from priceverse.api.lane import Lane
from priceverse.api.poller import Poller

GONE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
"""What a client can do to a connection at any moment; nobody's fault."""


READ_BYTES = 16 * 1024
"""Read from a client at once: as many calls as are answered before its neighbours have their turn."""

PATIENCE_S = 1.0
"""So long the lane waits for the rest of a call. Then Hypercorn does, and deals with whatever comes of it."""


@dataclass(slots=True)
class Deadlines:
    """Seconds that a client has. `hard_s` is the moment on trio's clock when everything must have been sent.

    A client that has not said anything yet has `head_s` instead of `idle_s`.
    """

    head_s: float = 10.0
    idle_s: float = 75.0  # longer than the 60 s that proxies keep their upstream connections
    send_s: float = 5.0
    linger_s: float = 1.0
    hard_s: float = inf


class Connection(TCPServer):
    """Serves one stream until it ends. Raises what `GONE` names, and whatever fault of ours.

    Its bytes are the lane's as long as they are calls. From the first that is not they are Hypercorn's, until it has
    answered all that it was given; then the lane's again, and so on.
    """

    protocol: Any  # an H11Protocol where upstream has its wrapper, which adds nothing but HTTP/2

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: trio.SocketStream,
        *,
        deadlines: Deadlines,
        lane: Lane,
        poller: Poller,
    ) -> None:
        super().__init__(app, config, context, {}, stream)  # type: ignore[arg-type] # upstream annotates TLS only
        self._deadlines = deadlines
        self._lane = lane
        self._poller = poller
        self._group = Apps()
        self._fd = stream.socket.fileno()
        self._reader = trio.CancelScope()
        self._listening = trio.CancelScope()
        self._opened_s = self._heard_s = trio.current_time()
        self._begun_s = inf  # since when there are bytes of a head, or of a call in the lane, that is not complete
        self._left_s = inf
        self._recycled = trio.Event()
        self._is_hypercorns = False
        self._replies = b""
        self._unsent = b""  # the rest of what `write_now` began to send
        self._silent = False
        self._ending = False

    async def run(self) -> None:
        """Read requests and have them answered until the client or we have had enough."""
        try:
            foreign = await self._run_lane(b"")
            if foreign:
                async with self._group:
                    self.protocol = self._hypercorn()
                    with self._reader, contextlib.suppress(*GONE):
                        while foreign and (calls := await self._run_hypercorn(foreign)):
                            foreign = await self._run_lane(calls)
                    await self.protocol.handle(Closed())
        finally:
            await trio.aclose_forcefully(self.stream)

    def end_when_idle(self) -> None:
        """Answer what has been asked, then end."""
        self._ending = True
        self._listening.deadline = self._due_s()

    # The lane's turn: no task, no lock, no scope for a call.

    async def _run_lane(self, data: bytes) -> bytes:
        """Answer calls until there are bytes that are none; return those, or b"" when nothing more will come."""
        lane = self._lane
        replies: bytes | None = lane.feed(data)
        while replies is not None:
            if replies and not await self._send(replies):
                return b""
            self._note_begun(begun=bool(lane.held) and lane.rest is None)
            if lane.rest is not None:
                replies = await lane.finish()
            elif lane.foreign or self._silent:
                break
            else:
                replies = await self._listen(partial(self._poller.watch, self._fd, self))
        return lane.hand_over()

    def hear(self, now_s: float) -> None:
        """Read what has come and find the replies to the calls in it: for the poller, as `speak`."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        self._heard_s = now_s
        self._silent = not data
        self._replies = self._lane.feed(data)

    def speak(self) -> bytes | None:
        """Send the replies; when something else is to be done, return what the client has not taken of them."""
        replies, self._replies = self._replies, b""
        sent = _write(self._fd, replies) if replies else 0
        more = sent == len(replies) and not self._silent and not self._lane.held and self._lane.rest is None
        return None if more and self._begun_s == inf else replies[sent:]

    # Hypercorn's turn.

    def _hypercorn(self) -> Http1:
        socket = self.stream.socket
        return Http1(
            self.app,
            self.config,
            self.context,
            self._group,
            ConnectionState({"write": self.write, "write_now": self.write_now}),
            ssl=False,
            client=parse_socket_addr(socket.family, socket.getpeername()),
            server=parse_socket_addr(socket.family, socket.getsockname()),
            send=self.protocol_send,
        )

    async def _run_hypercorn(self, data: bytes) -> bytes:
        """Have Hypercorn answer; return the bytes that come when it has answered everything, b"" if none will."""
        self._is_hypercorns = True
        while data:
            if self._left_s == inf:  # else what comes is read away and nobody's
                await self.protocol.handle(RawData(data))
                self._note_begun(begun=self.protocol.has_begun)
            data = await self._listen(self._receive) or b""
            if data and self.protocol.has_heard_all:  # the client saw the end of an answer before Hypercorn did
                await self._recycled.wait()
            if data and self.protocol.is_idle:
                break
        self._is_hypercorns = False
        return data

    async def _receive(self) -> bytes:
        data = bytes(await self.stream.receive_some(MAX_RECV))
        self._heard_s = trio.current_time()
        return data

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol says to the stream.

        Shielded: at the end of a request this runs in the application's task, which Quart-Trio cancels right then.
        """
        with trio.CancelScope(shield=True):
            if isinstance(event, RawData):
                if not await self._send(event.data):
                    await self._lose()
            elif isinstance(event, Closed):
                await self._leave()
            elif isinstance(event, Updated):
                self._turn(idle=event.idle)

    def write_now(self, data: bytes) -> bool:
        """Send bytes past Hypercorn without waiting; tell whether they are on their way, else they are for `write`.

        What the kernel does not take of them at once goes before anything else.
        """
        if self._unsent or self.send_lock.locked():
            return False
        sent = 0
        with contextlib.suppress(OSError):
            sent = _write(self.stream.socket.fileno(), data)
        if 0 < sent < len(data):
            self._unsent = data[sent:]
            self._group.spawn(self.write, b"")
        return sent > 0

    async def write(self, data: bytes) -> None:
        """Send bytes past Hypercorn: whole frames of a WebSocket. A client that does not take them is lost."""
        await self.protocol_send(RawData(data))

    def _turn(self, *, idle: bool) -> None:
        """Note that a request begins, or that it is over: that is when its client begins to be idle."""
        self._begun_s = inf
        if idle:
            self._recycled.set()
            self._heard_s = trio.current_time()
            self._listening.deadline = self._due_s()
        else:
            self._recycled = trio.Event()

    async def _lose(self) -> None:
        """Give up a client that does not read."""
        await trio.aclose_forcefully(self.stream)
        await self.protocol.handle(Closed())
        self._reader.cancel()

    async def _leave(self) -> None:
        """Say that no more will come, and let the reader see the client off."""
        async with self.send_lock:  # behind what is being sent
            with contextlib.suppress(*GONE):
                await self.stream.send_eof()
        self._left_s = trio.current_time()
        self._listening.deadline = self._due_s()
        self._recycled.set()
        await self.protocol.handle(Closed())

    # Either's.

    async def _send(self, data: bytes) -> bool:
        """Send within the deadline; tell whether the client took it."""
        async with self.send_lock:
            limit_s = min(trio.current_time() + self._deadlines.send_s, self._deadlines.hard_s)
            with trio.move_on_at(limit_s), contextlib.suppress(*GONE):
                unsent, self._unsent = self._unsent, b""
                await self.stream.send_all(unsent + data)
                return True
        return False

    async def _listen(self, hear: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """Return what `hear` returns; None if the client has had its time."""
        while (due_s := self._due_s()) > trio.current_time():
            self._listening = trio.CancelScope(deadline=due_s)
            with self._listening:
                return await hear()
        return None

    def _note_begun(self, *, begun: bool) -> None:
        if not begun:
            self._begun_s = inf
        elif self._begun_s == inf:
            self._begun_s = trio.current_time()

    def _due_s(self) -> float:
        """Return until when the client must have said something. This may move while it is waited for."""
        limits = self._deadlines
        if self._left_s != inf:
            return self._left_s + limits.linger_s
        if self._is_hypercorns and self.protocol.stream is not None:
            return inf  # being answered takes as long as it takes
        if self._ending:
            return -inf
        if self._begun_s != inf:
            return self._begun_s + (limits.head_s if self._is_hypercorns else min(limits.head_s, PATIENCE_S))
        return self._heard_s + (limits.head_s if self._heard_s == self._opened_s else limits.idle_s)


def _write(fd: int, data: bytes) -> int:
    """Return how much of `data` the kernel took."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
