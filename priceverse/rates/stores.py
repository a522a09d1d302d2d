"""Where the last good rates survive: Redis, which everybody reads, and PostgreSQL, which outlives it.

The rule: a store that is away is tried again every few seconds and stops nothing. Redis is written to again and again,
so that one that was emptied has the rate back before anybody misses it.
"""

from typing import Protocol

import trio

from priceverse.bus import rates as bus_rates
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.db import rates as db_rates
from priceverse.db.pool import Database, DatabaseUnavailable
from priceverse.log import get_logger
from priceverse.model.rate import Rate
from priceverse.rates.keeper import Keeper

SYNC_EVERY_S = 10.0


class StoreAway(Exception):  # noqa: N818 - the state it reports
    """A store cannot serve now; the text is its own."""


class Store(Protocol):
    """One place. `forgets`: what was saved may vanish, so it is saved again each time. Raises StoreAway."""

    name: str
    forgets: bool

    async def load(self) -> tuple[Rate, ...]: ...
    async def save(self, rates: tuple[Rate, ...]) -> None: ...


class RedisStore:
    """`rate:usd-rub`."""

    name = "redis"
    forgets = True

    def __init__(self, door: RedisDoor) -> None:
        self._door = door

    async def load(self) -> tuple[Rate, ...]:
        try:
            return await bus_rates.read(self._door)
        except RedisUnavailable as away:
            raise StoreAway(str(away)) from away

    async def save(self, rates: tuple[Rate, ...]) -> None:
        try:
            await bus_rates.write(self._door, rates)
        except RedisUnavailable as away:
            raise StoreAway(str(away)) from away


class DatabaseStore:
    """`usd_rub_rate`, which keeps every day's."""

    name = "database"
    forgets = False

    def __init__(self, db: Database) -> None:
        self._db = db

    async def load(self) -> tuple[Rate, ...]:
        try:
            return await db_rates.load(self._db)
        except DatabaseUnavailable as away:
            raise StoreAway(str(away)) from away

    async def save(self, rates: tuple[Rate, ...]) -> None:
        try:
            for rate in rates:
                await db_rates.save(self._db, rate)
        except DatabaseUnavailable as away:
            raise StoreAway(str(away)) from away


async def keep_in(store: Store, keeper: Keeper, looked: trio.Event) -> None:
    """Load from `store` once it is there, then save what changes, until cancelled; `looked`: once was tried."""
    is_loaded = False
    saved: tuple[Rate, ...] = ()
    while True:
        version = keeper.version
        try:
            if not is_loaded:
                keeper.remember(await store.load())
                is_loaded = True
            rates = keeper.rates
            if rates and (store.forgets or rates != saved):
                await store.save(rates)
                saved = rates
            _note(keeper, store, "ok")
        except StoreAway as away:
            _note(keeper, store, str(away))
        looked.set()
        with trio.move_on_after(SYNC_EVERY_S):
            await keeper.news(version)


def _note(keeper: Keeper, store: Store, state: str) -> None:
    """Remember how the store is, and log when that changes."""
    before = keeper.stores.get(store.name, "ok")
    keeper.stores[store.name] = state
    if state != "ok" and before == "ok":
        get_logger().warning("rate_store_away", store=store.name, error=state, next_attempt_s=SYNC_EVERY_S)
    elif state == "ok" and before != "ok":
        get_logger().info("rate_store_back", store=store.name)
