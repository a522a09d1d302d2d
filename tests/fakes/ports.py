"""The outside of the methods, in memory: prices, rates and reports are put here, faults are switched on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import trio

from priceverse.model.candle import Candle, Interval
from priceverse.model.explanation import Explanation
from priceverse.model.price import Method, Price
from priceverse.model.rate import Rate
from priceverse.rpc.errors import CallError
from priceverse.rpc.ports import CandlePage, Pairs, Point, Policy, Ports, Quote

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z, 03:00 in Moscow
LISTED = ("btc-usd", "eth-usd", "xmr-usd", "btc-rub", "eth-rub", "xmr-rub")
PAIRS = Pairs(
    listed=LISTED,
    known=frozenset({*LISTED, "usdt-usd", "ltc-usd"}),
    derived=frozenset(pair for pair in LISTED if pair.endswith("rub")),
)


def a_price(pair: str = "btc-usd", price: str = "64000.12345678", *, age_ms: int = 100, **given: Any) -> Price:
    """A price whose newest trade is `age_ms` old."""
    as_of_ms = NOW_MS - age_ms
    plain = Price(
        pair=pair,
        price=Decimal(price),
        volume=Decimal("1.5"),
        method=Method.VWAP,
        sources=("binance", "kraken"),
        as_of_ms=as_of_ms,
        computed_ms=as_of_ms,
        window_start_ms=as_of_ms - 30_000,
        window_end_ms=as_of_ms + 1,
        sequence=1,
        confidence_bps=Decimal("1.23456"),
        degraded=False,
        details=(),
    )
    return replace(plain, **given)


def a_quote(pair: str = "btc-usd", price: str = "64000.10000000", *, age_ms: int = 100) -> Quote:
    """A price as history holds it."""
    return Quote(pair, Decimal(price), NOW_MS - age_ms, ("kraken",))


def a_rate(on: date = date(2026, 1, 1)) -> Rate:
    """A currency rate in force on a day."""
    return Rate(Decimal("78.2267"), on, NOW_MS - 60_000)


def a_candle(start_ms: int, close: str = "100.00000000", interval: Interval = Interval.HOUR, **given: Any) -> Candle:
    """A candle of btc-usd in which two coins changed hands."""
    plain = Candle(
        pair="btc-usd",
        interval=interval,
        start_ms=start_ms,
        open=Decimal("99.00000000"),
        high=Decimal("110.00000000"),
        low=Decimal("90.00000000"),
        close=Decimal(close),
        volume=Decimal(2),
        quote_volume=Decimal(201),
        trades=3,
        opened_ms=start_ms,
        closed_ms=start_ms + interval.ms - 1,
    )
    return replace(plain, **given)


@dataclass
class FakeLive:
    prices: dict[str, Price] = field(default_factory=dict)

    def put(self, *prices: Price) -> None:
        self.prices |= {price.pair: price for price in prices}

    def get(self, pair: str) -> Price | None:
        return self.prices.get(pair)

    def rendered(self, pair: str) -> msgspec.Raw | None:
        return None


@dataclass
class FakeShared:
    """Redis: `fault` makes it refuse, `hangs` makes it never answer."""

    prices: dict[str, Price] = field(default_factory=dict)
    known_rates: tuple[Rate, ...] = field(default_factory=lambda: (a_rate(),))
    reports: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    storing: dict[str, Mapping[str, Any]] = field(default_factory=lambda: {"aggregator.0": {"history_fault": None}})
    fault: CallError | None = None
    hangs: bool = False
    asked: list[str] = field(default_factory=list)

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.hangs:
            await trio.sleep_forever()
        if self.fault:
            raise self.fault

    async def price(self, pair: str) -> Price | None:
        self.asked.append(pair)
        await self._answer()
        return self.prices.get(pair)

    async def rates(self) -> tuple[Rate, ...]:
        await self._answer()
        return self.known_rates

    async def collectors(self) -> Mapping[str, Mapping[str, Any]]:
        await self._answer()
        return self.reports

    async def aggregators(self) -> Mapping[str, Mapping[str, Any]]:
        await self._answer()
        return self.storing

    async def ping(self) -> float:
        await self._answer()
        return 0.0005


@dataclass
class FakeHistory:
    """PostgreSQL, with the same switches."""

    quotes: dict[str, Quote] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    stored_candles: list[Candle] = field(default_factory=list)
    explanations: list[Explanation] = field(default_factory=list)
    fault: CallError | None = None
    hangs: bool = False
    asked: list[str] = field(default_factory=list)

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.hangs:
            await trio.sleep_forever()
        if self.fault:
            raise self.fault

    async def price_at(self, pair: str, at_ms: int, tolerance_ms: int) -> Point | None:
        await self._answer()
        points = [p for p in self.points.get(pair, []) if at_ms - tolerance_ms <= p.at_ms <= at_ms]
        return max(points, key=lambda point: point.at_ms, default=None)

    async def explain(self, pair: str, at_ms: int) -> Explanation | None:
        await self._answer()
        rows = [row for row in self.explanations if row.pair == pair and row.at_ms <= at_ms]
        return max(rows, key=lambda row: row.at_ms, default=None)

    async def candles(self, pair, interval, *, from_ms, to_ms, limit, offset, newest_first=True) -> CandlePage:
        self.asked.append(pair)
        await self._answer()
        found = [
            candle
            for candle in self.stored_candles
            if (candle.pair, candle.interval) == (pair, interval) and from_ms <= candle.start_ms < to_ms
        ]
        found.sort(key=lambda candle: candle.start_ms, reverse=newest_first)
        return CandlePage(tuple(found[offset : offset + limit]), len(found))

    async def latest(self, pair: str) -> Quote | None:
        self.asked.append(pair)
        await self._answer()
        return self.quotes.get(pair)

    async def ping(self) -> float:
        await self._answer()
        return 0.002


@dataclass
class FakeReplies:
    """Keeps nothing; `asked` are the questions, `max_age_s` what the last client would take."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    max_age_s: float | None = None

    def no_older_than(self, max_age_s):
        self.max_age_s = max_age_s
        return self

    async def get(self, topic, key, reply, make):
        self.asked.append((topic, *key))
        made = await make()
        assert isinstance(made, reply)
        return made


@dataclass
class World:
    """All of it, and the `Ports` onto it."""

    live: FakeLive = field(default_factory=FakeLive)
    shared: FakeShared = field(default_factory=FakeShared)
    history: FakeHistory = field(default_factory=FakeHistory)
    replies: FakeReplies = field(default_factory=FakeReplies)
    pairs: Pairs = PAIRS
    stopping: bool = False

    @property
    def ports(self) -> Ports:
        return Ports(
            pairs=self.pairs,
            exchanges=("binance", "kraken"),
            policy=Policy(max_price_age_ms=120_000, max_rate_age_days=4, health_timeout_s=5.0),
            live=self.live,
            shared=self.shared,
            history=self.history,
            replies=self.replies,
            now_ms=lambda: NOW_MS,
            uptime_s=lambda: 12.5,
            stopping=lambda: self.stopping,
        )
