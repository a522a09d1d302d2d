"""The housekeeper's rounds: at start and then hourly, sooner again when PostgreSQL was not there.

The rule: nothing here is urgent. Partitions are made days ahead, so a round that fails is told, counted and repeated.
"""

from collections.abc import Callable

import trio

from priceverse.clock import now_ms
from priceverse.config.settings import Retention
from priceverse.db import retention as partitions
from priceverse.db.instants import to_datetime
from priceverse.db.pool import Database, DatabaseUnavailable
from priceverse.log import get_logger

INTERVAL_S = 3600.0
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0

Count = Callable[[str, int], None]


async def serve(
    db: Database, retention: Retention, stopping: trio.Event, count: Count, interval_s: float = INTERVAL_S
) -> None:
    """Make rounds until `stopping` is set; a round under way is finished first.

    `count` gets `rounds`, `partitions_made`, `partitions_dropped`, `database_failures`.
    """
    retry_s = _FIRST_RETRY_S
    while not stopping.is_set():
        if await _round(db, retention, count):
            pause_s, retry_s = interval_s, _FIRST_RETRY_S
        else:
            pause_s, retry_s = retry_s, min(2 * retry_s, _LAST_RETRY_S)
        with trio.move_on_after(pause_s):
            await stopping.wait()


async def _round(db: Database, retention: Retention, count: Count) -> bool:
    """Return whether the round was done."""
    try:
        kept = await partitions.keep(db, retention, to_datetime(now_ms()).date())
    except DatabaseUnavailable as away:
        count("database_failures", 1)
        get_logger().warning("retention_failed", reason=away.reason, detail=str(away))
        return False
    count("rounds", 1)
    count("partitions_made", kept.made)
    count("partitions_dropped", kept.dropped)
    if kept.made or kept.dropped:
        get_logger().info("partitions_kept", made=kept.made, dropped=kept.dropped)
    return True
