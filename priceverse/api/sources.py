"""Redis and PostgreSQL as the methods see them: the doors' exceptions become CallErrors, equal questions become one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import trio

from priceverse.api.memo import Memo
from priceverse.bus import prices, rates, stats
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.db import prices as history
from priceverse.db.pool import Database, DatabaseUnavailable
from priceverse.model.price import Price
from priceverse.model.rate import Rate
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.ports import Quote

T = TypeVar("T")

KEEP_S = 1.0
"""So long an answer serves everybody: the most often that a neighbour hears the same question."""


class RedisSource:
    """The `Shared` port."""

    def __init__(
        self, door: RedisDoor, nursery: trio.Nursery, *, instance: str, pairs: Sequence[str], exchanges: Sequence[str]
    ) -> None:
        self._door = door
        self._children = {f"collector.{exchange}": exchange for exchange in exchanges}
        self._instance = instance
        self._prices = {
            pair: Memo(nursery, partial(_redis, partial(self._price, pair)), keep_s=KEEP_S) for pair in pairs
        }
        self._rates = Memo(nursery, partial(_redis, partial(rates.read, door)), keep_s=KEEP_S)
        self._collectors = Memo(nursery, partial(_redis, self._reports), keep_s=KEEP_S)
        self._ping = Memo(nursery, partial(_redis, door.ping), keep_s=KEEP_S)

    async def price(self, pair: str) -> Price | None:
        """Return the live price as stored."""
        return await self._prices[pair].get()

    async def rates(self) -> tuple[Rate, ...]:
        """Return what is known of the currency rate."""
        return await self._rates.get()

    async def collectors(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the collectors' last reports, by exchange."""
        return await self._collectors.get()

    async def ping(self) -> float:
        """Return the seconds of a round trip."""
        return await self._ping.get()

    async def _price(self, pair: str) -> Price | None:
        return (await prices.current(self._door, [pair])).get(pair)

    async def _reports(self) -> Mapping[str, Mapping[str, Any]]:
        found = await stats.collect(self._door, self._instance, list(self._children))
        return {self._children[child]: report for child, report in found.items()}


class DatabaseSource:
    """The `History` port."""

    def __init__(self, database: Database, nursery: trio.Nursery, *, pairs: Sequence[str]) -> None:
        self._database = database
        self._latest = {
            pair: Memo(nursery, partial(_database, partial(self._newest, pair)), keep_s=KEEP_S) for pair in pairs
        }
        self._ping = Memo(nursery, partial(_database, database.ping), keep_s=KEEP_S)

    async def latest(self, pair: str) -> Quote | None:
        """Return the newest stored price."""
        return await self._latest[pair].get()

    async def ping(self) -> float:
        """Return the seconds of a round trip."""
        return await self._ping.get()

    async def _newest(self, pair: str) -> Quote | None:
        row = await history.latest(self._database, pair)
        return Quote(row.pair, row.price, row.timestamp_ms, row.sources) if row else None


async def _redis(ask: Callable[[], Awaitable[T]]) -> T:
    try:
        return await ask()
    except RedisUnavailable:
        raise CallError(Code.REDIS, "Redis is not available") from None


async def _database(ask: Callable[[], Awaitable[T]]) -> T:
    try:
        return await ask()
    except DatabaseUnavailable as fault:
        raise CallError(Code.DATABASE, f"The database is not available ({fault.reason})") from None
