"""Redis and PostgreSQL as the methods see them: behind their breakers, and equal questions become one."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import trio

from priceverse.api.breaker import Neighbour
from priceverse.api.memo import Memo
from priceverse.bus import prices, rates, stats
from priceverse.bus.client import RedisDoor
from priceverse.db import candles, explanations
from priceverse.db import prices as history
from priceverse.db.pool import Database
from priceverse.model.candle import Interval
from priceverse.model.explanation import Explanation
from priceverse.model.price import Price
from priceverse.model.rate import Rate
from priceverse.rpc.ports import CandlePage, Point, Quote

KEEP_S = 1.0
"""So long an answer serves everybody: the most often that a neighbour hears the same question."""

AGGREGATORS = [f"aggregator.{n}" for n in range(64)]
"""All that a pool may have; those that there are report."""


class RedisSource:
    """The `Shared` port."""

    def __init__(
        self,
        door: RedisDoor,
        redis: Neighbour,
        nursery: trio.Nursery,
        *,
        instance: str,
        pairs: Sequence[str],
        exchanges: Sequence[str],
    ) -> None:
        self._door = door
        self._children = {f"collector.{exchange}": exchange for exchange in exchanges}
        self._instance = instance
        self._prices = {
            pair: Memo(nursery, partial(redis.ask, partial(self._price, pair)), keep_s=KEEP_S) for pair in pairs
        }
        self._rates = Memo(nursery, partial(redis.ask, partial(rates.read, door)), keep_s=KEEP_S)
        self._collectors = Memo(nursery, partial(redis.ask, self._reports), keep_s=KEEP_S)
        self._aggregators = Memo(nursery, partial(redis.ask, self._storing), keep_s=KEEP_S)
        self._ping = Memo(nursery, partial(redis.probe, door.ping), keep_s=KEEP_S)

    async def price(self, pair: str) -> Price | None:
        """Return the live price as stored."""
        return await self._prices[pair].get()

    async def rates(self) -> tuple[Rate, ...]:
        """Return what is known of the currency rate."""
        return await self._rates.get()

    async def collectors(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the collectors' last reports, by exchange."""
        return await self._collectors.get()

    async def aggregators(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the aggregators' last reports, by name."""
        return await self._aggregators.get()

    async def ping(self) -> float:
        """Return the seconds of a round trip."""
        return await self._ping.get()

    async def _price(self, pair: str) -> Price | None:
        return (await prices.current(self._door, [pair])).get(pair)

    async def _reports(self) -> Mapping[str, Mapping[str, Any]]:
        found = await stats.collect(self._door, self._instance, list(self._children))
        return {self._children[child]: report for child, report in found.items()}

    async def _storing(self) -> Mapping[str, Mapping[str, Any]]:
        return await stats.collect(self._door, self._instance, AGGREGATORS)


class DatabaseSource:
    """The `History` port."""

    def __init__(self, database: Database, postgres: Neighbour, nursery: trio.Nursery, *, pairs: Sequence[str]) -> None:
        self._database = database
        self._postgres = postgres
        self._latest = {
            pair: Memo(nursery, partial(postgres.ask, partial(self._newest, pair)), keep_s=KEEP_S) for pair in pairs
        }
        self._ping = Memo(nursery, partial(postgres.probe, database.ping), keep_s=KEEP_S)

    async def latest(self, pair: str) -> Quote | None:
        """Return the newest stored price."""
        return await self._latest[pair].get()

    async def ping(self) -> float:
        """Return the seconds of a round trip."""
        return await self._ping.get()

    async def price_at(self, pair: str, at_ms: int, tolerance_ms: int) -> Point | None:
        """Return the newest price at or before an instant that is not more than `tolerance_ms` older."""
        ask = partial(candles.price_at, self._database, pair, at_ms, tolerance_ms)
        found = await self._postgres.ask(ask)
        return Point(*found) if found else None

    async def explain(self, pair: str, at_ms: int) -> Explanation | None:
        """Return the newest stored price at or before an instant, and what it was made of."""
        return await self._postgres.ask(partial(explanations.explain, self._database, pair, at_ms))

    async def candles(
        self,
        pair: str,
        interval: Interval,
        *,
        from_ms: int,
        to_ms: int,
        limit: int,
        offset: int,
        newest_first: bool = True,
    ) -> CandlePage:
        """Return candles with `from_ms` <= start < `to_ms`, the open one among them."""
        ask = partial(
            candles.read,
            self._database,
            pair,
            interval,
            from_ms=from_ms,
            to_ms=to_ms,
            limit=limit,
            offset=offset,
            newest_first=newest_first,
        )
        page = await self._postgres.ask(ask)
        return CandlePage(page.candles, page.total)

    async def _newest(self, pair: str) -> Quote | None:
        row = await history.latest(self._database, pair)
        return Quote(row.pair, row.price, row.timestamp_ms, row.sources) if row else None
