"""One client's connection: Hypercorn's HTTP/1.1 between a trio stream and the application, held to deadlines.

What is changed in Hypercorn 0.18, each for a measured fault:

- Sending has a deadline. Upstream shields `send_all` without one: a client that does not read makes the worker
  unstoppable.
- A request's head has a deadline of its own, so that the idle time of a good client can be long and a slow head short.
- HTTP/2 in clear text is off: a client that leaves an h2c connection raises out of the worker, and it smuggles
  requests past proxies.
- Closing is half-closing, then reading on for a moment: a close with unread bytes is a reset, and the client that
  was just told 413 would never read it.
"""

import contextlib
from dataclasses import dataclass
from math import inf
from typing import Any

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, H11SendableEvent
from hypercorn.utils import parse_socket_addr

GONE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
"""What a client can do to a connection at any moment; nobody's fault."""


@dataclass(slots=True)
class Deadlines:
    """Seconds that a client has. `hard_s` is the moment on trio's clock when everything must have been sent."""

    head_s: float = 10.0
    send_s: float = 5.0
    linger_s: float = 1.0
    hard_s: float = inf


class Http1(H11Protocol):
    """HTTP/1.1 that upgrades to nothing by itself and sends a response's head together with its body's beginning.

    Together they are one system call instead of three. And upstream closes at once when more bytes come behind a
    request whose answer ends the connection: between head and body that left the client with half an answer.
    """

    _head = b""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Upstream: switch to HTTP/2 on request. Here: never."""

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


class Connection(TCPServer):
    """Serves one stream until it ends. Raises what `GONE` names, and whatever fault of ours."""

    protocol: Any  # an H11Protocol where upstream has its wrapper, which adds nothing but HTTP/2

    def __init__(
        self, app: AppWrapper, config: Config, context: WorkerContext, deadlines: Deadlines, stream: trio.SocketStream
    ) -> None:
        super().__init__(app, config, context, {}, stream)  # type: ignore[arg-type] # upstream annotates TLS only
        self._deadlines = deadlines
        self._reading = trio.CancelScope()
        self._leaving = False

    async def run(self) -> None:
        """Read requests and have them answered until the client or we have had enough."""
        socket = self.stream.socket
        client = parse_socket_addr(socket.family, socket.getpeername())
        server = parse_socket_addr(socket.family, socket.getsockname())
        try:
            async with TaskGroup() as group:
                self._task_group = group
                self.protocol = Http1(
                    self.app,
                    self.config,
                    self.context,
                    group,
                    ConnectionState(self.state),
                    ssl=False,
                    client=client,
                    server=server,
                    send=self.protocol_send,
                )
                await self.idle_task.restart(group, self._idle_timeout)
                await self._read_data()
                await self.idle_task.stop()
        finally:
            await trio.aclose_forcefully(self.stream)

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol says to the stream.

        Shielded: at the end of a request this runs in the application's task, which Quart-Trio cancels right then.
        """
        with trio.CancelScope(shield=True):
            if isinstance(event, RawData):
                await self._send(event.data)
            elif isinstance(event, Closed):
                await self._leave()
            elif not self._leaving:  # else there is no more idling to time
                await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        async with self.send_lock:
            limit_s = min(trio.current_time() + self._deadlines.send_s, self._deadlines.hard_s)
            with trio.move_on_at(limit_s), contextlib.suppress(*GONE):
                await self.stream.send_all(data)
                return
        await trio.aclose_forcefully(self.stream)
        await self.protocol.handle(Closed())

    async def _leave(self) -> None:
        """Say that no more will come, and let the reader see the client off."""
        self._leaving = True
        async with self.send_lock:  # behind what is being sent
            with contextlib.suppress(*GONE):
                await self.stream.send_eof()
        self._reading.deadline = trio.current_time() + self._deadlines.linger_s
        await self.protocol.handle(Closed())

    async def _read_data(self) -> None:
        head_due_s = trio.current_time() + self._deadlines.head_s
        with self._reading, contextlib.suppress(*GONE):
            while data := await self._receive(head_due_s):
                if not self._leaving:  # else what comes is read away and nobody's
                    await self.protocol.handle(RawData(bytes(data)))
                    head_due_s = self._next_head_due(head_due_s)
        self._leaving = True
        await self.protocol.handle(Closed())

    async def _receive(self, due_s: float) -> bytes | bytearray:
        if not self._leaving:
            self._reading.deadline = due_s
        data = await self.stream.receive_some(MAX_RECV)
        if not self._leaving:
            self._reading.deadline = inf  # handling may wait for the application as long as that takes
        return data

    def _next_head_due(self, due_s: float) -> float:
        """Return when the head that has begun must be complete; the time runs from its first bytes."""
        begun = self.protocol.stream is None and self.protocol.connection.trailing_data[0]
        if not begun:
            return inf
        return due_s if due_s != inf else trio.current_time() + self._deadlines.head_s
