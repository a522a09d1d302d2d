"""The rates child's loops: ask the bank at start and each interval, keep what is good in both stores, report.

The rule: the bank away, Redis away, PostgreSQL away: each is waited for by itself, and none ends the process.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial

import trio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from priceverse.bus import stats
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.clock import now_ms
from priceverse.config.settings import Cbr, Settings
from priceverse.db.pool import Database
from priceverse.exchanges.cbr import RateRefused
from priceverse.log import get_logger
from priceverse.model.rate import Rate
from priceverse.net import bank
from priceverse.net.errors import NetError
from priceverse.pricing.convert import moscow_day
from priceverse.rates.keeper import Keeper
from priceverse.rates.stores import DatabaseStore, RedisStore, Store, keep_in

REPORT_EVERY_S = 5.0
FIRST_LOOK_S = 5.0
"""How long the first question waits for the stores, so that its answer meets the last good rate."""
RETRY_BASE_S, RETRY_CAP_S = 1.0, 300.0

Read = Callable[[date | None], Awaitable[Rate]]


@dataclass(frozen=True, slots=True)
class Duties:
    """What the process owes its supervisor: a name, readiness, progress, and an end when `stopping` is set."""

    child: str
    stopping: trio.Event
    ready: Callable[[], Awaitable[None]]
    count: Callable[[str], None]


def today() -> date:
    """Return the day in Moscow."""
    return moscow_day(now_ms())


async def serve(settings: Settings, duties: Duties, keeper: Keeper) -> None:
    """Keep the rate until told to stop; ready at once, whoever is away."""
    door = RedisDoor(settings.redis)
    async with Database(settings.database) as db, trio.open_nursery() as nursery:
        stores = (RedisStore(door), DatabaseStore(db))
        read = partial(bank.read, settings.cbr)
        nursery.start_soon(keep, settings.cbr, keeper, stores, read, duties.count)
        nursery.start_soon(_report, door, settings.app.name, duties.child, keeper)
        await duties.ready()
        await duties.stopping.wait()
        nursery.cancel_scope.cancel()
    await door.aclose()


async def keep(cbr: Cbr, keeper: Keeper, stores: tuple[Store, ...], read: Read, count: Callable[[str], None]) -> None:
    """Consult the stores, then ask the bank for ever."""
    async with trio.open_nursery() as nursery:
        looks = [trio.Event() for _ in stores]
        for store, looked in zip(stores, looks, strict=True):
            nursery.start_soon(keep_in, store, keeper, looked)
        with trio.move_on_after(FIRST_LOOK_S):
            for looked in looks:
                await looked.wait()
        await ask_for_ever(cbr, keeper, read, count)


async def ask_for_ever(cbr: Cbr, keeper: Keeper, read: Read, count: Callable[[str], None]) -> None:
    """Ask at once and each interval; a failure is retried sooner, in growing steps."""
    retrying = AsyncRetrying(
        retry=retry_if_exception_type((NetError, RateRefused)),
        wait=_pause,
        before_sleep=partial(_note_failure, keeper, count),
    )
    while True:
        keeper.consider(await retrying(read, None))
        count("fetches")
        if keeper.in_force is None:
            await _ask_for_today(keeper, read)
        _warn_if_stale(cbr, keeper)
        await trio.sleep(cbr.interval_s)


async def _ask_for_today(keeper: Keeper, read: Read) -> None:
    """Ask for the rate in force: on a first evening the newest document is tomorrow's already."""
    try:
        keeper.consider(await read(today()))
    except (NetError, RateRefused) as fault:
        get_logger().warning("rate_in_force_unknown", reason=str(fault))


_jitter = wait_random_exponential(multiplier=RETRY_BASE_S, max=RETRY_CAP_S)


def _pause(state: RetryCallState) -> float:
    fault = state.outcome.exception() if state.outcome else None
    asked_s = fault.retry_after_s if isinstance(fault, NetError) else None
    return max(_jitter(state), min(asked_s or 0.0, RETRY_CAP_S))


def _note_failure(keeper: Keeper, count: Callable[[str], None], state: RetryCallState) -> None:
    keeper.failures += 1
    keeper.error = str(state.outcome.exception() if state.outcome else "")[:300]
    count("failures")
    current = keeper.in_force
    get_logger().warning(
        "rate_unavailable",
        reason=keeper.error,
        attempt=state.attempt_number,
        next_attempt_s=round(state.next_action.sleep, 1) if state.next_action else None,
        last_good=str(current.usd_rub) if current else None,
        date=current.date.isoformat() if current else None,
    )


def _warn_if_stale(cbr: Cbr, keeper: Keeper) -> None:
    current = keeper.in_force
    if current is not None and (today() - current.date).days > cbr.max_age_days:
        get_logger().error("rate_stale", usd=str(current.usd_rub), date=current.date.isoformat())


async def _report(door: RedisDoor, instance: str, child: str, keeper: Keeper) -> None:
    """Put the keeper's state on the bus again and again."""
    while True:
        with suppress(RedisUnavailable):  # its store says so already
            await stats.report(door, instance, child, keeper.snapshot())
        await trio.sleep(REPORT_EVERY_S)
