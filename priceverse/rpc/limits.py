"""How often a client may call a method, and what it is told of it. Pure.

The rule is GCRA: a client that has been quiet may call `requests` times at once, then once every `per_s / requests`
seconds. All state is one number, the instant at which the client will have been quiet again.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in so many seconds; `step_us` is what one of them costs of `window_us`."""

    requests: int
    per_s: int = 60
    window_us: int = field(init=False, repr=False, compare=False)
    step_us: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out once what every call needs."""
        object.__setattr__(self, "window_us", self.per_s * 1_000_000)
        object.__setattr__(self, "step_us", max(1, self.per_s * 1_000_000 // self.requests))


class Quota(NamedTuple):
    """What a client has left of a limit: `remaining` calls now, all of them again after `reset_s`.

    `wait_s` is how long a refused call must wait, 0 for one that was let through.
    """

    policy: str
    limit: Limit
    remaining: int
    reset_s: float
    wait_s: float = 0.0


class Limiter(Protocol):
    """Where the limits of all clients are kept."""

    def take(self, client: str, method: str, limit: Limit) -> Quota:
        """Count one call of `client` if its limit allows it; `limit` is the method's own, which others may override."""
        ...


def spend(policy: str, limit: Limit, quiet_at_us: int, now_us: int) -> tuple[Quota, int]:
    """Return what one more call leaves, and when the client will be quiet again.

    A client that would be busy for longer than a window was not written by this function, and is taken for quiet.
    """
    debt_us = quiet_at_us - now_us
    if not 0 < debt_us <= limit.window_us:
        debt_us = 0
    after_us = debt_us + limit.step_us
    if after_us > limit.window_us:
        wait_s = (after_us - limit.window_us) / 1_000_000
        return Quota(policy, limit, 0, wait_s, wait_s), quiet_at_us
    return Quota(policy, limit, (limit.window_us - after_us) // limit.step_us, after_us / 1_000_000), now_us + after_us
