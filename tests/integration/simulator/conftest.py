"""A running simulator, and clients of it: a real WebSocket library and a real HTTP client, none of it its own code."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from trio_websocket import ConnectionRejected, WebSocketConnection, wrap_client_stream

from priceverse.simulator.market import Options, Running, serve

TIMEOUT_S = 10.0


class Client:
    """A WebSocket client of one venue."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket

    async def say(self, message: object) -> None:
        await self.websocket.send_message(message if isinstance(message, str) else json.dumps(message))

    async def text(self) -> str:
        with trio.fail_after(TIMEOUT_S):
            return await self.websocket.get_message()

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """Return the next JSON frame that is wanted."""
        while True:
            document = json.loads(await self.text())
            if wanted(document):
                return document


class Market:
    """A simulator as its clients see it."""

    def __init__(self, running: Running) -> None:
        self.port = running.port
        self.hub = running.hub
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=TIMEOUT_S)

    def connect(self, path: str) -> AbstractAsyncContextManager[Client]:
        return connected(self.port, path)

    async def refusal(self, path: str) -> int:
        """Return the status with which a handshake is refused; 101 if it is not."""
        try:
            async with self.connect(path):
                return 101
        except* ConnectionRejected as group:
            (rejected,) = _leaves(group)
        return rejected.status_code

    async def json(self, path: str, **query: str) -> Any:
        reply = await self.http.get(path, params=query)
        return reply.json()

    async def fault(self, **order: object) -> httpx.Response:
        return await self.http.post("/control/faults", json=order)


def _leaves(group: BaseExceptionGroup[Any]) -> list[Any]:
    return [
        leaf
        for part in group.exceptions
        for leaf in (_leaves(part) if isinstance(part, BaseExceptionGroup) else [part])
    ]


@asynccontextmanager
async def connected(port: int, path: str) -> AsyncIterator[Client]:
    """Connect a client; the socket is closed whatever state the library has left it in."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, stream, f"127.0.0.1:{port}", path)
        yield Client(websocket)
        with trio.move_on_after(1):
            await websocket.aclose()
        nursery.cancel_scope.cancel()


@pytest.fixture
async def start(nursery: trio.Nursery) -> AsyncIterator[Callable[..., Awaitable[Market]]]:
    """Start simulators, each on a free port."""
    started: list[Market] = []

    async def begin(**options: Any) -> Market:
        started.append(Market(await nursery.start(serve, Options(**options))))
        return started[-1]

    yield begin
    for market in started:
        await market.http.aclose()
    nursery.cancel_scope.cancel()


@pytest.fixture
async def market(start: Callable[..., Awaitable[Market]]) -> Market:
    """A lively random walk."""
    return await start(speed=5.0, seed=1)
