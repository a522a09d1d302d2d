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
    faults: dict[str, RateFault | None] = {}
    with suppress(DatabaseUnavailable):
        desk.rates = desk.rates.including(await db_rates.load(db))
    while True:
        with suppress(RedisUnavailable):
            desk.rates = desk.rates.including(await bus_rates.read(door))
        task_status.started()
        task_status = trio.TASK_STATUS_IGNORED
        _report(desk, faults)
        await trio.sleep(REFRESH_S)


def _report(desk: Desk, faults: dict[str, RateFault | None]) -> None:
    for pair, seat in desk.seats.items():
        if seat.derived and seat.rate_fault is not faults.get(pair):
            faults[pair] = seat.rate_fault
            if seat.rate_fault:
                get_logger().warning("derived_pairs_without_price", pair=pair, reason=seat.rate_fault.value)
            else:
                get_logger().info("derived_pairs_priced_again", pair=pair)
