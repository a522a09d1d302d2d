"""How the housekeeper's work repeats: at start and then at its interval, sooner again when PostgreSQL was not there.

The rule: nothing here is urgent, so a round that fails is told, counted and repeated, and one under way is finished
before the end.
"""

from collections.abc import Awaitable, Callable

import trio

from priceverse.db.pool import DatabaseUnavailable
from priceverse.log import get_logger

_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0

Count = Callable[[str, int], None]


async def repeat(
    task: str, do: Callable[[], Awaitable[None]], every_s: float, stopping: trio.Event, count: Count
) -> None:
    """Do one task until `stopping` is set. `count` gets `rounds` and `database_failures`."""
    retry_s = _FIRST_RETRY_S
    while not stopping.is_set():
        if await _is_done(task, do, count):
            pause_s, retry_s = every_s, _FIRST_RETRY_S
        else:
            pause_s, retry_s = retry_s, min(2 * retry_s, _LAST_RETRY_S)
        with trio.move_on_after(pause_s):
            await stopping.wait()


async def _is_done(task: str, do: Callable[[], Awaitable[None]], count: Count) -> bool:
    try:
        await do()
    except DatabaseUnavailable as away:
        count("database_failures", 1)
        get_logger().warning("round_failed", task=task, reason=away.reason, detail=str(away))
        return False
    count("rounds", 1)
    return True
