"""When to try again: exponential with full jitter, never sooner than the venue asked. Pure but for tenacity's dice.

The rule: a venue that says how long to stay away is obeyed; one that only says no is left alone for longer than one
that merely broke the connection.
"""

from dataclasses import dataclass
from enum import StrEnum

from tenacity import RetryCallState, wait_random_exponential

CAP_S = 30.0
OBEYED_MOST_S = 3600.0
FLOOR_S = {
    429: 5.0,  # too many requests
    418: 60.0,  # Binance: banned for having gone on after 429
    403: 30.0,  # a firewall, or the country
    451: 60.0,  # the country
}
"""Shortest wait after a status that names none itself."""
RATE_LIMITED, DISCONNECTED = "EXCHANGE_3002", "EXCHANGE_3001"


class Why(StrEnum):
    """How a session ended; log events are called `exchange_<why>`."""

    UNREACHABLE = "unreachable"  # no connection, or no token for one
    REFUSED = "refused"  # an HTTP status instead of a connection
    LOST = "lost"
    MUTE = "mute"
    UNSUBSCRIBED = "unsubscribed"  # connected, but no symbol is served
    SHUTDOWN = "shutdown"  # the venue announced that it will close, or the connection grew old


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a session: why, at which host, in whose words.

    `was_healthy`: it had delivered for long enough that its end is no failure of the venue's.
    """

    why: Why
    where: str
    detail: str
    was_healthy: bool = False
    status: int | None = None
    retry_after_s: float | None = None

    @property
    def code(self) -> str:
        """The error code under which operators know it."""
        return RATE_LIMITED if self.status in FLOOR_S else DISCONNECTED

    @property
    def stay_away_s(self) -> float:
        """The shortest wait that the venue may expect of us."""
        return stay_away_s(self.status, self.retry_after_s)


def stay_away_s(status: int | None, retry_after_s: float | None) -> float:
    """Return the shortest wait that a venue may expect of us after such an answer."""
    if retry_after_s is not None:
        return min(retry_after_s, OBEYED_MOST_S)
    return FLOOR_S.get(status, 0.0) if status is not None else 0.0


class SessionFailed(Exception):  # noqa: N818 - the event it reports
    """A session ended before it was healthy: one failure in a row."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(f"{ended.why}: {ended.where}: {ended.detail}")
        self.ended = ended


class Pause(wait_random_exponential):
    """tenacity's full jitter from `base_s`, doubled each time up to `CAP_S`, raised to what the venue asked for."""

    def __init__(self, base_s: float) -> None:
        super().__init__(multiplier=base_s, max=CAP_S)

    def __call__(self, retry_state: RetryCallState) -> float:
        jitter_s = super().__call__(retry_state)
        failure = retry_state.outcome.exception() if retry_state.outcome else None
        return max(jitter_s, failure.ended.stay_away_s) if isinstance(failure, SessionFailed) else jitter_s
