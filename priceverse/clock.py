"""The only clock: wall time in ms for what is stored and compared across machines. Waiting is trio's business."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Return the wall clock, ms UTC."""
    return time.time_ns() // 1_000_000


def iso_ms(ms: int) -> str:
    """Return an instant as ISO 8601 UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
