"""A handler as its process runs it, in this loop, on a loopback port, with real Redis and PostgreSQL."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import trio

from priceverse.api.connection import Deadlines
from priceverse.api.listener import Limits
from priceverse.api.serve import serve
from priceverse.bus.client import RedisDoor
from priceverse.bus.prices import PriceWriter
from priceverse.clock import now_ms
from priceverse.config.settings import Api, RateLimit, Settings
from tests.fakes.ports import LISTED, a_price

WAIT_S = 20.0


def price_now(pair="btc-usd", price="64000.12345678", *, age_ms=0, **given):
    """A price of this moment."""
    at_ms = now_ms() - age_ms
    return a_price(pair, price, as_of_ms=at_ms, computed_ms=at_ms, **given)


def limits(**given: Any) -> Limits:
    """Limits that tests can wait for."""
    deadlines = Deadlines(
        head_s=given.pop("head_s", WAIT_S),
        idle_s=given.pop("idle_s", 75.0),
        send_s=given.pop("send_s", 0.5),
        linger_s=0.3,
    )
    return Limits(**({"farewell_s": 0.1, "grace_s": 1.0, "deadlines": deadlines} | given))


@dataclass
class Handler:
    """A running handler."""

    settings: Settings
    port: int
    stopping: trio.Event = field(default_factory=trio.Event)
    gone: trio.Event = field(default_factory=trio.Event)
    stats: Callable[[], Mapping[str, float]] = dict

    @property
    def connections(self) -> int:
        return round(self.stats()["saturation"] * 2000)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **given: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=WAIT_S, **given)

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def stop(self) -> float:
        """Tell it to leave; return how many seconds that took."""
        began = trio.current_time()
        self.stopping.set()
        with trio.fail_after(WAIT_S):
            await self.gone.wait()
        return trio.current_time() - began


Start = Callable[..., Awaitable[Handler]]


@pytest.fixture
def settings(redis_settings, database_settings) -> Settings:
    unlimited = Api(rate_limit=RateLimit(enabled=False))
    return Settings(redis=redis_settings, database=database_settings, api=unlimited)


@pytest.fixture
async def publish(redis_settings):
    """Publishes prices as the aggregator does."""
    door = RedisDoor(redis_settings)
    yield PriceWriter(door).publish
    await door.aclose()


@pytest.fixture
async def start(nursery, settings):
    """Starts handlers; all are stopped in the end."""
    started: list[Handler] = []

    async def start(
        its_settings: Settings | None = None,
        its_limits: Limits | None = None,
        listener: socket.socket | None = None,
    ) -> Handler:
        listener = listener or socket.create_server(("127.0.0.1", 0))
        handler = Handler(its_settings or settings, listener.getsockname()[1])
        ready = trio.Event()

        async def is_ready() -> None:
            ready.set()

        async def run() -> None:
            await serve(
                handler.settings,
                listener,
                handler.stopping,
                ready=is_ready,
                provide=lambda stats: setattr(handler, "stats", stats),
                limits=its_limits or limits(),
            )
            handler.gone.set()

        nursery.start_soon(run)
        with trio.fail_after(WAIT_S):
            await ready.wait()
        started.append(handler)
        return handler

    yield start
    for handler in started:
        await handler.stop()


@pytest.fixture
async def handler(start, publish) -> Handler:
    """A handler that has a price of every pair."""
    await publish([price_now(pair) for pair in LISTED])
    return await start()


@pytest.fixture
async def client(handler):
    async with handler.client() as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has no event."""
    with trio.fail_after(WAIT_S):
        while not condition():  # noqa: ASYNC110 - see above
            await trio.sleep(0.01)


@asynccontextmanager
async def raw(handler: Handler):
    """A connection of one's own, and what the other side says on it."""
    async with await handler.connect() as stream:
        yield stream


async def read_all(stream: trio.SocketStream) -> bytes:
    """Read until the other side closes."""
    said = b""
    with trio.fail_after(WAIT_S):
        try:
            while data := await stream.receive_some():
                said += data
        except trio.BrokenResourceError:
            pass
    return said


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
