"""The official rate for derived pairs: from Redis every few seconds, at the start from PostgreSQL too."""

from contextlib import suppress

import trio

from priceverse.bus import rates as bus_rates
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.db import rates as db_rates
from priceverse.db.errors import DatabaseUnavailable
from priceverse.db.pool import Database
from priceverse.log import get_logger
from priceverse.pricing.convert import RateFault
from priceverse.pricing.desk import Desk

REFRESH_S = 3.0


async def follow(
    desk: Desk, door: RedisDoor, db: Database, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Keep the desk's rates up to date, say when derived pairs lose or regain theirs; started after a first look."""
    with suppress(DatabaseUnavailable):
        desk.rates = desk.rates.including(await db_rates.load(db))
    watch = _Watch()
    while True:
        with suppress(RedisUnavailable):
            desk.rates = desk.rates.including(await bus_rates.read(door))
        task_status.started()
        task_status = trio.TASK_STATUS_IGNORED
        watch.look(desk)
        await trio.sleep(REFRESH_S)


class _Watch:
    """Logs a lasting fault once, and its end: at the start a rate may be a few seconds away."""

    def __init__(self) -> None:
        self._seen: dict[str, RateFault] = {}
        self._said: dict[str, RateFault] = {}

    def look(self, desk: Desk) -> None:
        seen = {pair: seat.rate_fault for pair, seat in desk.seats.items() if seat.rate_fault}
        for pair, fault in seen.items():
            if self._seen.get(pair) is fault and self._said.get(pair) is not fault:
                self._said[pair] = fault
                get_logger().warning("derived_pairs_without_price", pair=pair, reason=fault.value)
        for pair in self._said.keys() - seen.keys():
            del self._said[pair]
            get_logger().info("derived_pairs_priced_again", pair=pair)
        self._seen = seen
