"""Holes in the candles of the last days, filled from the venues' own history once an hour, where that is wanted.

The rule: this is the last resort, after the stream and the collectors' own catching up, and looks at settled buckets.
"""

from functools import partial

import trio

from priceverse.backfill.run import Wanted, filler, run
from priceverse.clock import now_ms
from priceverse.config.settings import Settings
from priceverse.db.pool import Database
from priceverse.housekeeper.rounds import Count, repeat
from priceverse.log import get_logger
from priceverse.model.candle import Interval

INTERVAL_S = 3600.0


async def serve(
    db: Database, settings: Settings, stopping: trio.Event, count: Count, interval_s: float = INTERVAL_S
) -> None:
    """Fill holes until `stopping` is set, which ends a round under way: what is filled stays, the rest comes later.

    `count` gets `candles_filled`, and what every round counts.
    """
    if not settings.backfill.enabled:
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end, stopping, nursery.cancel_scope)
        await repeat("backfill", partial(_fill, db, settings, count), interval_s, stopping, count)
        nursery.cancel_scope.cancel()


async def _fill(db: Database, settings: Settings, count: Count) -> None:
    until_ms = now_ms()
    from_ms = until_ms - settings.backfill.days * Interval.DAY.ms
    pairs = dict.fromkeys(settings.source_pairs + settings.listed_pairs)
    wanted = Wanted(tuple(pairs), from_ms, until_ms)
    found = await run(filler(settings, db), settings, wanted, lambda *_: None)
    filled = sum(each.buckets["filled"] for each in found)
    count("candles_filled", filled)
    if filled:
        get_logger().info("candles_filled", pairs={each.pair: dict(each.buckets) for each in found if each.buckets})


async def _end(stopping: trio.Event, scope: trio.CancelScope) -> None:
    await stopping.wait()
    scope.cancel()
