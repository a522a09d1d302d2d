"""Waiting for a store that is away: again and again, with jitter, and without filling the log."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from priceverse.bus.client import RedisUnavailable
from priceverse.db.errors import DatabaseUnavailable
from priceverse.log import get_logger

T = TypeVar("T")

BASE_S, CAP_S = 0.1, 5.0

AWAY = (RedisUnavailable, DatabaseUnavailable)


async def patiently(work: Callable[[], Awaitable[T]], *, task: str) -> T:
    """Do `work` until neither Redis nor PostgreSQL is away; `task` names it in the log.

    The machinery of patience is made when it is needed: it is full of cycles, and read after read it would be most of
    the garbage that the collector of this process, which looks rarely, lets lie for minutes.
    """
    try:
        return await work()
    except AWAY:
        pass  # a lost connection is made anew by trying again
    return await _again(work, task)


async def _again(work: Callable[[], Awaitable[T]], task: str) -> T:
    def report(state: RetryCallState) -> None:
        attempt = state.attempt_number
        if attempt & (attempt - 1) == 0 and state.outcome:  # the 1st, 2nd, 4th, 8th …
            error = state.outcome.exception()
            event = "redis_away" if isinstance(error, RedisUnavailable) else "database_away"
            get_logger().warning(event, task=task, attempt=attempt, error=str(error))

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(AWAY),
        wait=wait_random_exponential(multiplier=BASE_S, max=CAP_S),
        before_sleep=report,
    )

    async def once() -> T:  # tenacity awaits what is written as a coroutine function only, which a lambda is not
        return await work()

    return await retrying(once)
