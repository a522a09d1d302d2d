"""Keeps a private server alive: when it ends without being asked to, it is started again on the same addresses.

The process that holds the servers runs one `keep` per server. Starting again happens on the main thread (see
`process`), the waiting for it in a worker thread.
"""

import os
from typing import NoReturn, Protocol

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
    """Restart `server` whenever it dies, until `stopping` is set; a start under way is left to itself then.

    Never stops the server.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_keep_for_ever, server)
        await stopping.wait()
        nursery.cancel_scope.cancel()


async def _keep_for_ever(server: Server) -> NoReturn:
    delay_s = _FIRST_DELAY_S
    while True:
        began = trio.current_time()
        await _until_it_ends(server)
        if trio.current_time() - began > _HEALTHY_S:
            delay_s = _FIRST_DELAY_S
        get_logger().warning("server_died", server=server.name, restart_in_s=delay_s)
        await trio.sleep(delay_s)
        delay_s = min(delay_s * 2, _LAST_DELAY_S)
        await _start(server)


async def _until_it_ends(server: Server) -> None:
    pid = server.pid
    if pid is None:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:  # ended and reaped between the two lines
        return
    try:
        await trio.lowlevel.wait_readable(pidfd)
    finally:
        os.close(pidfd)


async def _start(server: Server) -> None:
    try:
        await trio.to_thread.run_sync(server.prepare, abandon_on_cancel=True)
        server.spawn()
        await trio.to_thread.run_sync(server.wait_ready, abandon_on_cancel=True)
    except EmbeddedError as error:
        get_logger().error("server_restart_failed", server=server.name, reason=str(error))
        return
    get_logger().info("server_restarted", server=server.name)
