"""What methods need of the outside, as Protocols: the api role plugs Redis, PostgreSQL and the live cache in here.

The rule: a port raises CallError (REDIS, DATABASE) when its source does not answer, and nothing else.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import msgspec

from priceverse.model.candle import Candle, Interval
from priceverse.model.explanation import Explanation
from priceverse.model.price import Price
from priceverse.model.rate import Rate

R = TypeVar("R", bound=msgspec.Struct)


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


@dataclass(frozen=True, slots=True)
class Point:
    """A price that was in force at an instant."""

    price: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class CandlePage:
    """Some candles of a range, and how many the whole range has."""

    candles: tuple[Candle, ...]
    total: int


class Live(Protocol):
    """Prices in this process, pushed by the subscription."""

    def get(self, pair: str) -> Price | None:
        """Return the newest price heard, of any age."""
        ...

    def rendered(self, pair: str) -> msgspec.Raw | None:
        """Return the newest price heard as the reply that it makes; None if there is none fresh enough to serve."""
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

    async def aggregators(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what each aggregator last reported, by name; a silent one is missing."""
        ...

    async def ping(self) -> float:
        """Return the seconds that a round trip takes."""
        ...


class History(Protocol):
    """Prices of the past: PostgreSQL."""

    async def latest(self, pair: str) -> Quote | None:
        """Return the newest stored price of a pair."""
        ...

    async def price_at(self, pair: str, at_ms: int, tolerance_ms: int) -> Point | None:
        """Return the newest price at or before an instant that is not more than `tolerance_ms` older."""
        ...

    async def explain(self, pair: str, at_ms: int) -> Explanation | None:
        """Return the newest stored price at or before an instant, and what it was made of."""
        ...

    async def candles(
        self,
        pair: str,
        interval: Interval,
        *,
        from_ms: int,
        to_ms: int,
        limit: int,
        offset: int,
        newest_first: bool = True,
    ) -> CandlePage:
        """Return candles with `from_ms` <= start < `to_ms`, the open one among them."""
        ...

    async def ping(self) -> float:
        """Return the seconds that a round trip takes."""
        ...


class Topic(StrEnum):
    """What a kept reply is about; it decides how long the reply is kept."""

    CHANGE = "change"
    CHART = "chart"
    RANGE = "range"
    """A chart of a range or a page that somebody chose: there is no end of them."""


class Replies(Protocol):
    """Replies that take long to make, kept for a while for everybody."""

    def no_older_than(self, max_age_s: float) -> "Replies":
        """Return the same replies for a client that takes none of a greater age."""
        ...

    async def get(self, topic: Topic, key: tuple[str, ...], reply: type[R], make: Callable[[], Awaitable[R]]) -> R:
        """Return the reply of that type to the question `key`: a kept one, or the one that `make` makes.

        A question is worked on once at a time. Where `make` fails with DATABASE, a reply about a chart may be an older
        one, which says `stale`.
        """
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
    replies: Replies
    now_ms: Callable[[], int]
    uptime_s: Callable[[], float]
    stopping: Callable[[], bool]
