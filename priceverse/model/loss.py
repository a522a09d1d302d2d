"""A loss: a time for which trades of one exchange are known to be missing, and why they cannot be had."""

from dataclasses import dataclass
from enum import StrEnum


class LossReason(StrEnum):
    """Why missing trades will not be had."""

    FORGOTTEN = "forgotten"  # the venue's history does not reach back so far
    ABSENT = "absent"  # the venue's history has no such trades
    UNAVAILABLE = "unavailable"  # the venue's history did not answer for too long
    TOO_MANY = "too_many"  # so many that they would crowd out those of now
    DROPPED = "dropped"  # Redis was away for too long


@dataclass(frozen=True, slots=True)
class Loss:
    """Trades of `pair` on `exchange` are missing between two instants, exchange time, `from_ms` < `to_ms`."""

    exchange: str
    pair: str
    from_ms: int
    to_ms: int
    reason: LossReason
