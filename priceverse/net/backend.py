"""How httpx reaches the network: httpcore's trio backend, which closes also a connection whose handshake is given up.

The rule: no socket is left to the garbage collector. httpcore 1.0.9 does leave it one: `start_tls` closes after an
`Exception`, and to be cancelled, which is what a deadline or a stop does, is none.
"""

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import trio


class Backend(httpcore.TrioBackend):
    """Opens connections of that kind."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; raises httpcore's errors."""
        return _Stream(await super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.AsyncNetworkStream):
    """A connection without TLS yet."""

    def __init__(self, plain: httpcore.AsyncNetworkStream) -> None:
        self._plain = plain
        self.read = plain.read  # type: ignore[method-assign]
        self.write = plain.write  # type: ignore[method-assign]
        self.aclose = plain.aclose  # type: ignore[method-assign]
        self.get_extra_info = plain.get_extra_info  # type: ignore[method-assign]

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._plain.start_tls(ssl_context, server_hostname, timeout)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):  # closing a socket waits for nothing
                await self._plain.aclose()
            raise
