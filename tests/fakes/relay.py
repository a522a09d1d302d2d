"""A relay between a client and a real Redis that a test can cut: the server lives, the way to it does not."""

import trio

from priceverse.config.settings import Redis
from tests.fakes.remote import HOST, raw_server


class RedisRelay:
    """While `is_up`, connections pass; `cut` breaks those that are open and refuses new ones.

    The next reply with the bytes `swallow` in it is lost, and its connection with it: the server has done its part.
    """

    def __init__(self, server: Redis) -> None:
        self._server = server
        self._open: set[trio.CancelScope] = set()
        self.is_up = True
        self.swallow = b""
        self.swallowed = 0

    async def open(self, nursery: trio.Nursery) -> Redis:
        """Start relaying and return the settings that lead through here."""
        port = await raw_server(nursery, self._relay)
        return self._server.model_copy(update={"host": HOST, "port": port, "unix_socket": None})

    def cut(self) -> None:
        """Break everything until `is_up` is set again."""
        self.is_up = False
        for scope in self._open:
            scope.cancel()

    async def _relay(self, client: trio.abc.Stream) -> None:
        if not self.is_up:
            return
        with trio.CancelScope() as scope:
            self._open.add(scope)
            async with await self._dial() as server, trio.open_nursery() as nursery:
                nursery.start_soon(_pump, client, server, scope)
                nursery.start_soon(_pump, _Losing(server, self), client, scope)
        self._open.discard(scope)

    async def _dial(self) -> trio.abc.Stream:
        if self._server.unix_socket:
            return await trio.open_unix_socket(str(self._server.unix_socket))
        return await trio.open_tcp_stream(self._server.host, self._server.port)


class _Losing:
    """What a server says, to the place where the relay swallows it."""

    def __init__(self, server: trio.abc.Stream, relay: RedisRelay) -> None:
        self._server = server
        self._relay = relay

    async def receive_some(self) -> bytes:
        data = await self._server.receive_some()
        if self._relay.swallow and self._relay.swallow in data:
            self._relay.swallow = b""
            self._relay.swallowed += 1
            return b""
        return bytes(data)


async def _pump(source: "trio.abc.Stream | _Losing", sink: trio.abc.Stream, scope: trio.CancelScope) -> None:
    try:
        while data := await source.receive_some():
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()
