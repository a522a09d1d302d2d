"""Partitions ahead of time, old ones dropped: the round that bounds what the database holds.

The rule: partitions are made days ahead, so a round may fail for days before anybody waits for one.
"""

from functools import partial

import trio

from priceverse.clock import now_ms
from priceverse.config.settings import Retention
from priceverse.db import retention as partitions
from priceverse.db.instants import to_datetime
from priceverse.db.pool import Database
from priceverse.housekeeper.rounds import Count, repeat
from priceverse.log import get_logger

INTERVAL_S = 3600.0


async def serve(
    db: Database, retention: Retention, stopping: trio.Event, count: Count, interval_s: float = INTERVAL_S
) -> None:
    """Keep the partitions in shape until `stopping` is set.

    `count` gets `partitions_made`, `partitions_dropped`, and what every round counts.
    """
    await repeat("retention", partial(_keep, db, retention, count), interval_s, stopping, count)


async def _keep(db: Database, retention: Retention, count: Count) -> None:
    kept = await partitions.keep(db, retention, to_datetime(now_ms()).date())
    dropped = kept.dropped + kept.months_dropped
    count("partitions_made", kept.made)
    count("partitions_dropped", dropped)
    if kept.made or dropped:
        get_logger().info("partitions_kept", made=kept.made, dropped=dropped)
