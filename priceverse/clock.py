"""The only clock: wall time in ms for what is stored and compared across machines. Waiting is trio's business."""

import time
from functools import lru_cache
from time import gmtime, strftime


def now_ms() -> int:
    """Return the wall clock, ms UTC."""
    return time.time_ns() // 1_000_000


def iso_ms(ms: int) -> str:
    """Return an instant as ISO 8601 UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return f"{_minute(ms // 60_000)}:{ms // 1000 % 60:02d}.{ms % 1000:03d}Z"


@lru_cache(maxsize=2048)
def _minute(minutes: int) -> str:
    """Return the part that candles and prices of one minute have in common; a page of candles is asked for again."""
    return strftime("%Y-%m-%dT%H:%M", gmtime(minutes * 60))
