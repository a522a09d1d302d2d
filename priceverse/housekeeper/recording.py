"""What collectors have told as lost, recorded in the gap table: they may not write to PostgreSQL themselves.

The rule: a loss is called recorded only after it is.
"""

from contextlib import suppress
from functools import partial

import trio

from priceverse.bus import losses
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.clock import now_ms
from priceverse.config.settings import Redis as RedisSettings
from priceverse.db import gaps
from priceverse.db.pool import Database
from priceverse.housekeeper.rounds import Count, repeat

INTERVAL_S = 5.0


async def serve(
    db: Database, redis: RedisSettings, stopping: trio.Event, count: Count, interval_s: float = INTERVAL_S
) -> None:
    """Record until `stopping` is set. `count` gets `losses_recorded`, and what every round counts."""
    async with RedisDoor(redis) as door:
        await repeat("losses", partial(_record, db, door, count), interval_s, stopping, count)


async def _record(db: Database, door: RedisDoor, count: Count) -> None:
    with suppress(RedisUnavailable):  # the collectors say so, and tell their losses again
        told = await losses.waiting(door)
        if told:
            await gaps.record(db, list(told.values()))
            await losses.recorded(door, told, now_ms())
            count("losses_recorded", len(told))
