"""Keeps a private server alive: when it ends without being asked to, it is started again on the same addresses.

The process that holds the servers runs one `keep` per server. Starting again happens on the main thread (see
`process`), the waiting for it in a worker thread.
"""

import os
from typing import Protocol

import trio

from priceverse.embedded.errors import EmbeddedError
from priceverse.log import get_logger

_FIRST_DELAY_S = 0.2
_LAST_DELAY_S = 10.0
_HEALTHY_S = 30.0


class Server(Protocol):
    """What a keeper needs of a server."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    def prepare(self) -> None: ...
    def spawn(self) -> None: ...
    def wait_ready(self) -> None: ...


async def keep(server: Server, stopping: trio.Event) -> None:
    """Restart `server` whenever it dies, until `stopping` is set. Never stops it."""
    delay_s = _FIRST_DELAY_S
    while not stopping.is_set():
        began = trio.current_time()
        if not await _until_it_ends(server, stopping):
            return
        if trio.current_time() - began > _HEALTHY_S:
            delay_s = _FIRST_DELAY_S
        get_logger().warning("server_died", server=server.name, restart_in_s=delay_s)
        with trio.move_on_after(delay_s):
            await stopping.wait()
            return
        delay_s = min(delay_s * 2, _LAST_DELAY_S)
        await _start(server)


async def _until_it_ends(server: Server, stopping: trio.Event) -> bool:
    """Return True when the server ended, False when `stopping` was set first."""
    pid = server.pid
    if pid is None:
        return True
    pidfd = os.pidfd_open(pid)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when, stopping, nursery.cancel_scope)
            await trio.lowlevel.wait_readable(pidfd)
            nursery.cancel_scope.cancel()
    finally:
        trio.lowlevel.notify_closing(pidfd)
        os.close(pidfd)
    return not stopping.is_set()


async def _cancel_when(stopping: trio.Event, scope: trio.CancelScope) -> None:
    await stopping.wait()
    scope.cancel()


async def _start(server: Server) -> None:
    try:
        await trio.to_thread.run_sync(server.prepare)
        server.spawn()
        await trio.to_thread.run_sync(server.wait_ready)
    except EmbeddedError as error:
        get_logger().error("server_restart_failed", server=server.name, reason=str(error))
        return
    get_logger().info("server_restarted", server=server.name)
