"""An aggregator on real servers, started and killed at will, and a market that trades into its streams."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio

from priceverse.aggregator import plan
from priceverse.aggregator.serve import Duties, serve
from priceverse.bus import rates
from priceverse.bus.client import RedisDoor
from priceverse.bus.trades import BEGINNING, Received, TradeWriter, page
from priceverse.clock import now_ms
from priceverse.config.settings import Aggregation, Database, Redis, Settings
from priceverse.db import migrate
from priceverse.embedded.postgres import PostgresServer
from priceverse.model.exchange import Side
from priceverse.model.rate import Rate
from priceverse.model.trade import Trade
from priceverse.pricing.convert import moscow_day
from tests.fakes.market import LEVELS, Naive, Streams

PAIRS = frozenset({"btc-usd", "xmr-usd", "usdt-usd"})
RATE = Decimal("78.5431")
FAST = Aggregation(interval=1000, window_size=3000, lateness_ms=300, publish_interval_ms=50, heartbeat_ms=200)


@pytest.fixture
def settings(redis_settings: Redis, database_settings: Database) -> Settings:
    return Settings(redis=redis_settings, database=database_settings, aggregation=FAST)


@pytest.fixture
async def door(settings: Settings) -> AsyncIterator[RedisDoor]:
    """A door to Redis, with a rate in force behind it."""
    door = RedisDoor(settings.redis)
    await rates.write(door, [Rate(RATE, moscow_day(now_ms()), now_ms())])
    yield door
    await door.aclose()


@dataclass
class Running:
    """An aggregator that is running: `own` assigns pairs and waits for the word."""

    stopping: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    confirmed: list[frozenset[str]] = field(default_factory=list)
    stats: Callable[[], dict[str, Any]] = dict

    def __post_init__(self) -> None:
        self.send, self.keys = trio.open_memory_channel[frozenset[str]](8)
        self._confirmed = trio.Event()

    async def own(self, *pairs: str) -> None:
        await self.send.send(frozenset(pairs))
        await self._confirmed.wait()
        self._confirmed = trio.Event()

    async def _assigned(self, keys: frozenset[str]) -> None:
        self.confirmed.append(keys)
        self._confirmed.set()

    def duties(self, child: str, ready: Callable[[], Any]) -> Duties:
        def provide(stats: Callable[[], dict[str, Any]]) -> None:
            self.stats = stats

        return Duties(child, self.stopping, ready, self.keys, self._assigned, provide, lambda *_: None, lambda *_: None)


@asynccontextmanager
async def aggregating(settings: Settings, *pairs: str, child: str = "aggregator.1") -> AsyncIterator[Running]:
    """Run an aggregator; on leaving it is killed, without any farewell."""
    running = Running()
    ready = trio.Event()

    async def say_ready() -> None:
        ready.set()

    async def serve_to_the_end() -> None:
        await serve(settings, running.duties(child, say_ready))
        running.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_to_the_end)
        with trio.fail_after(20):
            await ready.wait()
            await running.own(*pairs)
        yield running
        nursery.cancel_scope.cancel()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to be stopped."""
    server = PostgresServer(tmp_path, options={"fsync": "off"})
    server.start()
    migrate.up(Settings(database=server.settings))
    yield server
    server.stop()


class Market:
    """Trades into the streams of `PAIRS`: late ones, repeated ones, from clocks ahead."""

    def __init__(self, settings: Settings, seed: int = 1) -> None:
        self._writer = TradeWriter(settings.redis, 3600)
        self._quotes = {pair: plan.market(settings, pair).quotes for pair in PAIRS}
        self._random = Random(seed)
        self._number = 0

    async def trade(self, pair: str, *, age_ms: int = 0, price: Decimal | None = None) -> Received:
        received = self._received(pair, age_ms, price)
        await self._writer.publish([received])
        return received

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        recent: list[Received] = []
        while True:
            batch = [self._received(pair, self._age_ms(), None) for pair in sorted(PAIRS)]
            repeated = self._random.sample(recent, min(len(recent), 1)) if self._random.random() < 0.2 else []
            await self._writer.publish(batch + repeated)
            recent = (recent + batch)[-20:]
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(self._random.uniform(0.01, 0.06))

    async def aclose(self) -> None:
        await self._writer.aclose()

    def _age_ms(self) -> int:
        return self._random.choice((0, 5, 20, -100, self._random.randrange(1500)))

    def _received(self, pair: str, age_ms: int, price: Decimal | None) -> Received:
        self._number += 1
        noise = Decimal(self._random.randrange(9_990, 10_010)).scaleb(-4)
        trade = Trade(
            exchange=self._random.choice(sorted(self._quotes[pair])),
            symbol="",
            pair=pair,
            price=price or LEVELS[pair] * noise,
            volume=Decimal(self._random.randrange(1, 10**6)).scaleb(-6),
            timestamp_ms=now_ms() - age_ms,
            trade_id=f"{id(self)}-{self._number}",
            side=Side.BUY,
        )
        return Received(trade, now_ms())


@pytest.fixture
async def market(settings: Settings) -> AsyncIterator[Market]:
    market = Market(settings)
    yield market
    await market.aclose()


async def everything(door: RedisDoor) -> Streams:
    """Return all entries of all streams."""
    found: Streams = {}
    for pair in PAIRS:
        entries, cursor = [], BEGINNING
        while (read := await page(door, pair, cursor)).last is not None:
            entries += read.trades
            cursor = read.last
        found[pair] = entries
    return found


async def naive(settings: Settings, door: RedisDoor) -> Naive:
    """Return the slow way to compute what is in the streams."""
    return Naive(await everything(door), plan.grid(settings), {pair: plan.market(settings, pair) for pair in PAIRS})
