"""Hours and days from five minutes: every few seconds the buckets that were noted as stale, at start whatever waits.

The rule: nobody waits for this. Readers roll up what is stale themselves; a backlog only costs them time.
"""

from functools import partial

import trio

from priceverse.db import rollup
from priceverse.db.pool import Database
from priceverse.housekeeper.rounds import Count, repeat
from priceverse.log import get_logger

INTERVAL_S = 10.0
_NOTABLE = 10 * rollup.MOST
"""So many buckets at once are not the open ones: something was away for hours."""


async def serve(db: Database, stopping: trio.Event, count: Count, interval_s: float = INTERVAL_S) -> None:
    """Roll up until `stopping` is set. `count` gets `buckets_rolled_up`, and what every round counts."""
    await repeat("roll_up", partial(_roll_up, db, stopping, count), interval_s, stopping, count)


async def _roll_up(db: Database, stopping: trio.Event, count: Count) -> None:
    """Roll up what was stale when the round began; what becomes stale meanwhile is left to the next."""
    waiting = (await rollup.backlog(db)).buckets
    if waiting >= _NOTABLE:
        get_logger().info("candles_catch_up", buckets=waiting)
    done = 0
    while done < waiting and not stopping.is_set():
        rolled = await rollup.roll_up_stale(db, min(rollup.MOST, waiting - done))
        if not rolled:
            return  # the rest is being written, or rolled up by another housekeeper
        done += rolled
        count("buckets_rolled_up", rolled)
