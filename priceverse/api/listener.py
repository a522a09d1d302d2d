"""Accepting, counting and letting go: connections on the one listening socket that every handler of the pool shares.

Leaving has two phases, so that no request is lost: accept no more; for a moment answer what comes on the connections
that are open, asking each client to close; then close the idle ones, and give those being answered their time.
"""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework

from priceverse.api.access import AccessLog, Ration
from priceverse.api.connection import GONE, Connection, Deadlines
from priceverse.api.guard import MAX_HEAD_BYTES
from priceverse.api.lane import CLOSED, Lane, Rules
from priceverse.api.poller import Poller
from priceverse.log import get_logger
from priceverse.metrics import catalogue, tally

log = get_logger()

SEND_BUFFER_BYTES = 256 * 1024
"""What the kernel may hold for a client that does not read: left alone it grows to megabytes each."""


MAX_MESSAGE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may have of this process."""

    connections: int = 2000
    farewell_s: float = 0.5
    grace_s: float = 5.0
    deadlines: Deadlines = field(default_factory=Deadlines)


class Server:
    """Serves `app` to whoever connects. `busy` is the whole response for a client too many.

    `lanes` are the rules of the fast lane, closed if there are none. `ration` says what of the others is logged.
    """

    def __init__(
        self, app: ASGIFramework, *, limits: Limits, busy: bytes, ration: Ration, lanes: Rules = CLOSED
    ) -> None:
        self._app = ASGIWrapper(app)
        self._lanes = lanes
        self._limits = limits
        self._busy = busy
        self._config = _config(ration)
        self._context = WorkerContext(None)
        self._poller = Poller()
        self._refusing = 0
        self._open: set[Connection] = set()

    @property
    def connections(self) -> int:
        """Return how many are open."""
        return len(self._open)

    async def serve(
        self,
        listener: socket.socket,
        stopping: trio.Event,
        on_leave: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stopping` is set and all connections are gone or out of time.

        `on_leave` is called when nothing is accepted any more: what would never end by itself must end then.
        """
        async with trio.open_nursery() as polling:
            polling.start_soon(self._poller.run)
            await self._serve(listener, stopping, on_leave, task_status)
            polling.cancel_scope.cancel()

    async def _serve(
        self,
        listener: socket.socket,
        stopping: trio.Event,
        on_leave: Callable[[], None],
        task_status: trio.TaskStatus[None],
    ) -> None:
        accepting = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        async with trio.open_nursery() as connections:
            async with accepting, trio.open_nursery() as door:
                door.start_soon(partial(trio.serve_listeners, self._handle, [accepting], handler_nursery=connections))
                task_status.started()
                await stopping.wait()
                door.cancel_scope.cancel()
            on_leave()
            await trio.sleep(self._limits.farewell_s)
            deadline_s = trio.current_time() + self._limits.grace_s
            self._limits.deadlines.hard_s = deadline_s
            connections.cancel_scope.deadline = deadline_s
            await self._context.terminated.set()
            for each in self._open:
                each.end_when_idle()

    async def _handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection. Nothing that happens in it may reach its neighbours: the boundary of a connection."""
        if self.connections >= self._limits.connections:
            await self._refuse(stream)
            return
        try:
            async with self._counted(stream) as connection:
                await connection.run()
        except* GONE:
            pass
        except* Exception:
            log.exception("connection_failed")

    @contextlib.asynccontextmanager
    async def _counted(self, stream: trio.SocketStream) -> AsyncIterator[Connection]:
        connection = Connection(
            self._app,
            self._config,
            self._context,
            stream,
            deadlines=self._limits.deadlines,
            lane=Lane(self._lanes, _address(stream)),
            poller=self._poller,
        )
        _tune(stream, self._limits.deadlines.send_s)
        self._open.add(connection)
        tally.gauge(catalogue.CONNECTIONS, self.connections)
        try:
            yield connection
        finally:
            self._open.discard(connection)
            tally.gauge(catalogue.CONNECTIONS, self.connections)

    async def _refuse(self, stream: trio.SocketStream) -> None:
        """Tell a client too many so, if it listens; as many at once as are served."""
        if self._refusing >= self._limits.connections:
            return
        self._refusing += 1
        try:
            with trio.move_on_after(self._limits.deadlines.linger_s), contextlib.suppress(*GONE):
                await stream.send_all(self._busy)
                await stream.send_eof()
                while await stream.receive_some():
                    pass
        finally:
            self._refusing -= 1


def _config(ration: Ration) -> Config:
    config = Config()
    config.include_server_header = False
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    config.websocket_max_message_size = MAX_MESSAGE_BYTES
    config.keep_alive_max_requests = 1_000_000
    config.logger_class = partial(AccessLog, ration)  # type: ignore[assignment] # it is only ever called
    return config


def _address(stream: trio.SocketStream) -> str:
    """Return who connects; a peer on a unix socket has no name."""
    peer = stream.socket.getpeername()
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _tune(stream: trio.SocketStream, send_s: float) -> None:
    with contextlib.suppress(OSError):  # a unix socket has no TCP options
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1.5 * send_s * 1000))
