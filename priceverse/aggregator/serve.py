"""The aggregator's wiring: settings → doors, desk and loops, until told to stop.

Nothing of the supervisor is known here: what a process needs of it comes as `Duties`.
"""

from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from priceverse.aggregator import history, plan, rate, thin
from priceverse.aggregator.history import Outbox
from priceverse.aggregator.live import Publisher
from priceverse.aggregator.ownership import Ownership
from priceverse.aggregator.preview import Preview
from priceverse.aggregator.reading import Reading
from priceverse.aggregator.report import Report
from priceverse.bus.client import RedisDoor
from priceverse.bus.leases import Leases
from priceverse.bus.trades import BLOCK_S
from priceverse.config.settings import Settings
from priceverse.db.pool import Database
from priceverse.metrics import tally
from priceverse.pricing.convert import Rates
from priceverse.pricing.desk import Desk

STOP_FLUSH_S = 3.0

Keys = frozenset[str]


@dataclass(frozen=True, slots=True)
class Duties:
    """What the process owes its supervisor: readiness, the pairs it is given and a word when it has them, progress."""

    child: str
    stopping: trio.Event
    ready: Callable[[], Awaitable[None]]
    keys: AsyncIterable[Keys]
    assigned: Callable[[Keys], Awaitable[None]]
    provide: Callable[[Callable[[], dict[str, Any]]], None]
    count: Callable[[str, int], None]
    on_ask: Callable[[str, Callable[[], dict[str, Any]]], None]


async def serve(settings: Settings, duties: Duties) -> None:
    """Aggregate the assigned pairs until told to stop. Ready is said when the loops run, whoever is away."""
    async with (
        RedisDoor(settings.redis) as live_door,
        RedisDoor(settings.redis) as door,
        RedisDoor(settings.redis, extra_timeout_s=BLOCK_S) as reading_door,
        Database(settings.database) as db,
        Leases(door, "pair", lease_ms=settings.aggregation.lease_ms) as leases,
    ):
        rates = Rates(max_age_days=settings.cbr.max_age_days)
        desk, taking_over = Desk(plan.pace(settings), rates), Desk(plan.pace(settings), rates)

        def missed(pair: str) -> None:
            ownership.miss(pair)

        acknowledge = partial(history.acknowledge, door, plan.grid(settings))
        outbox = Outbox(partial(history.commit, db), acknowledge, missed)
        publisher = Publisher((desk, taking_over), live_door, leases.is_sure)
        preview = Preview(settings, taking_over, door, publisher.wake)

        def on_read(trades: int) -> None:
            outbox.put(desk.settle())
            if trades:
                publisher.wake()
                duties.count("trades", trades)

        reading = Reading(
            door,
            leases,
            reading_door=reading_door,
            child=duties.child,
            pause_s=desk.pace.publish_ms / 1000,
            on_read=on_read,
            on_robbed=missed,
        )
        ownership = Ownership(
            settings, desk=desk, preview=preview, reading=reading, outbox=outbox, db=db, door=door, leases=leases
        )
        report = Report(desk=desk, reading=reading, outbox=outbox, publisher=publisher)
        duties.provide(report.stats)
        duties.on_ask("streams", report.streams)
        with tally.watching(report.samples):
            async with trio.open_nursery() as nursery:
                await nursery.start(rate.follow, desk, door, db)
                for loop in (outbox.run, publisher.run, reading.run, ownership.run):
                    nursery.start_soon(loop)
                nursery.start_soon(thin.follow, desk)
                nursery.start_soon(report.run, door, settings.app.name, duties.child)
                nursery.start_soon(_obey, duties, ownership)
                await duties.ready()
                await duties.stopping.wait()
                await outbox.flushed(tuple(desk.seats), STOP_FLUSH_S)
                nursery.cancel_scope.cancel()


async def _obey(duties: Duties, ownership: Ownership) -> None:
    """Own what is assigned; the word goes back when what was dropped may go to its next owner."""
    async for keys in duties.keys:
        await ownership.own(keys)
        await duties.assigned(keys)
