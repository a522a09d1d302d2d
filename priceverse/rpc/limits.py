"""How often a client may call a method, and what it is told of it. Pure.

The rule is GCRA: a client that has been quiet may call `requests` times at once, then once every `per_s / requests`
seconds. All state is one number, the instant at which the client will have been quiet again.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in so many seconds."""

    requests: int
    per_s: int = 60


@dataclass(frozen=True, slots=True)
class Quota:
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


def spend(quiet_at_us: int, now_us: int, limit: Limit) -> tuple[int, int]:
    """Return when the client will be quiet again after one more call, and how many µs that call comes too early.

    If it comes too early it is not to be let through, and the first number is not to be kept.
    """
    window_us = limit.per_s * 1_000_000
    after_us = max(quiet_at_us, now_us) + window_us // limit.requests
    return after_us, max(after_us - now_us - window_us, 0)


def quota(policy: str, limit: Limit, after_us: int, early_us: int, now_us: int) -> Quota:
    """Return what `spend` means to the client."""
    if early_us:
        return Quota(policy, limit, 0, early_us / 1_000_000, early_us / 1_000_000)
    debt_us = after_us - now_us
    step_us = limit.per_s * 1_000_000 // limit.requests
    return Quota(policy, limit, limit.requests - -(-debt_us // step_us), debt_us / 1_000_000)
