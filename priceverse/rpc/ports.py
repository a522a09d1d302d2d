"""What methods need of the outside, as Protocols: the api role plugs Redis, PostgreSQL and the live cache in here.

The rule: a port raises CallError (REDIS, DATABASE) when its source does not answer, and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from priceverse.model.price import Price
from priceverse.model.rate import Rate


@dataclass(frozen=True, slots=True)
class Pairs:
    """The configured pairs: `listed` may be asked for; `known` adds those that are disabled or not offered.

    `derived` are the listed pairs that exist only through the currency rate.
    """

    listed: tuple[str, ...]
    known: frozenset[str]
    derived: frozenset[str]


@dataclass(frozen=True, slots=True)
class Quote:
    """A price as clients get it. `confidence_bps` is unknown for a price read back from history."""

    pair: str
    price: Decimal
    as_of_ms: int
    sources: tuple[str, ...]
    confidence_bps: Decimal | None = None
    degraded: bool = False


class Live(Protocol):
    """Prices in this process, pushed by the subscription."""

    def get(self, pair: str) -> Price | None:
        """Return the newest price heard, of any age."""
        ...


class Shared(Protocol):
    """What every process of the instance shares: Redis."""

    async def price(self, pair: str) -> Price | None:
        """Return the live price as stored."""
        ...

    async def rates(self) -> tuple[Rate, ...]:
        """Return what is known of the currency rate, by date, of any age."""
        ...

    async def collectors(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what each exchange's collector last reported, by exchange; a silent one is missing."""
        ...

    async def ping(self) -> float:
        """Return the seconds that a round trip takes."""
        ...


class History(Protocol):
    """Prices of the past: PostgreSQL."""

    async def latest(self, pair: str) -> Quote | None:
        """Return the newest stored price of a pair."""
        ...

    async def ping(self) -> float:
        """Return the seconds that a round trip takes."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds within which an answer is an answer."""

    max_price_age_ms: int
    max_rate_age_days: int
    health_timeout_s: float


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything a method can reach.

    `exchanges` are the enabled venues; `uptime_s` is how long this process has served; `stopping` tells whether it is
    about to leave, when it should be sent no more requests.
    """

    pairs: Pairs
    exchanges: tuple[str, ...]
    policy: Policy
    live: Live
    shared: Shared
    history: History
    now_ms: Callable[[], int]
    uptime_s: Callable[[], float]
    stopping: Callable[[], bool]
