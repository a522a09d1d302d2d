"""Fill the holes of pairs: the reference first, then the pair, then what is derived from it.

The rule: only buckets that are closed, and that our own trades will not make, are looked at. What could not be had now
is counted and stays a hole, so that the next run finds it again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from priceverse.backfill.combine import combined, converted
from priceverse.backfill.official import Official
from priceverse.backfill.plan import Span, holes
from priceverse.backfill.venues import Unanswered, Venues
from priceverse.config.settings import Settings
from priceverse.db import candles as stored
from priceverse.db import rollup
from priceverse.db.pool import Database
from priceverse.log import get_logger
from priceverse.model.candle import Candle, Interval
from priceverse.model.exchange import Exchange, Quote
from priceverse.model.pair import REFERENCE_PAIR
from priceverse.pricing.convert import moscow_day


@dataclass(slots=True)
class Filled:
    """What became of the empty buckets of one pair: `filled`, `empty` (nobody traded) or why it could not be had."""

    pair: str
    buckets: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return not self.buckets["unanswered"] + self.buckets["no_conversion"] + self.buckets["no_rate"]


Tell = Callable[[str, int, int], None]
"""(pair, buckets done, buckets known to be empty at the beginning)."""


class Filler:
    """Fills candles of any pair of the configuration. Raises DatabaseUnavailable."""

    def __init__(self, settings: Settings, db: Database, venues: Venues, official: Official) -> None:
        self._settings = settings
        self._db = db
        self._venues = venues
        self._official = official

    async def fill(self, pair: str, spans: Sequence[Span], tell: Tell) -> Filled:
        """Fill the holes of a pair; its source's or the reference's before are the caller's care (`in_order`)."""
        done = Filled(pair)
        todo = [hole for span in spans for hole in await self._holes(pair, span)]
        total = sum(hole.buckets for hole in todo)
        tell(pair, 0, total)
        for hole in todo:
            source = self._settings.pairs[pair].derived_from
            found = await (self._derived(pair, source, hole, done) if source else self._collected(pair, hole, done))
            done.buckets["filled"] += await stored.fill(self._db, hole.interval, found)
            await self._roll_up(pair, hole)
            tell(pair, sum(done.buckets.values()), total)
        return done

    async def settled_ms(self, pair: str, now_ms: int) -> int:
        """Return up to where an empty bucket of a pair will not be filled by its own trades.

        That is so before the first of them, so that a new instance has a past at once; afterwards, where the stream is
        not kept any more from which a trade, as late as may be, could still be read.
        """
        source = self._settings.pairs[pair].derived_from or pair
        first_ms = await stored.first_of_trades(self._db, source)
        waited_ms = self._settings.aggregation.candle_lateness_ms + self._settings.aggregation.stream_keep_s * 1000
        return max(now_ms - waited_ms, now_ms - Interval.FIVE_MINUTES.ms if first_ms is None else first_ms)

    async def _holes(self, pair: str, span: Span) -> list[Span]:
        there = await stored.starts(self._db, pair, span.interval, from_ms=span.from_ms, until_ms=span.until_ms)
        return list(holes(span, there))

    async def _collected(self, pair: str, hole: Span, done: Filled) -> list[Candle]:
        try:
            by_venue = await self._venues.candles(pair, hole)
        except Unanswered as fault:
            done.buckets["unanswered"] += hole.buckets
            done.faults.append(str(fault))
            get_logger().warning("history_unanswered", pair=pair, error=str(fault))
            return []
        usable, unconverted = await self._in_dollars(pair, hole, by_venue)
        deviation = self._settings.pairs[pair].max_deviation or self._settings.aggregation.max_deviation
        found = [combined(usable[start_ms], deviation) for start_ms in sorted(usable)]
        done.buckets["no_conversion"] += unconverted
        done.buckets["empty"] += hole.buckets - len(found) - unconverted
        return found

    async def _in_dollars(
        self, pair: str, hole: Span, by_venue: Mapping[Exchange, Sequence[Candle]]
    ) -> tuple[dict[int, list[Candle]], int]:
        """Return the usable candles by bucket, and the number of buckets that only lack a conversion."""
        in_usdt = {exchange for exchange in by_venue if self._settings.quote(pair, exchange) is Quote.USDT}
        factors = await self._factors(hole) if in_usdt else {}
        usable: dict[int, list[Candle]] = {}
        dropped: set[int] = set()
        for exchange, found in by_venue.items():
            for candle in found:
                factor = factors.get(candle.start_ms) if exchange in in_usdt else Decimal(1)
                if factor is None:
                    dropped.add(candle.start_ms)
                else:
                    usable.setdefault(candle.start_ms, []).append(converted(candle, factor))
        return usable, len(dropped - usable.keys())

    async def _factors(self, hole: Span) -> dict[int, Decimal]:
        """Return USDT in dollars by bucket."""
        return {each.start_ms: each.vwap or each.close for each in await self._stored(REFERENCE_PAIR, hole)}

    async def _derived(self, pair: str, source: str, hole: Span, done: Filled) -> list[Candle]:
        candles = await self._stored(source, hole)
        rates = await self._official.on([moscow_day(candle.start_ms) for candle in candles])
        rated = [(candle, rates.get(moscow_day(candle.start_ms))) for candle in candles]
        found = [converted(candle, rate.usd_rub, pair) for candle, rate in rated if rate]
        done.buckets["no_rate"] += len(candles) - len(found)
        done.buckets["empty"] += hole.buckets - len(candles)
        return found

    async def _stored(self, pair: str, hole: Span) -> Sequence[Candle]:
        page = await stored.read(
            self._db, pair, hole.interval, from_ms=hole.from_ms, to_ms=hole.until_ms, limit=hole.buckets
        )
        return page.candles

    async def _roll_up(self, pair: str, hole: Span) -> None:
        """Roll days up from hours that were filled; what five minutes change is noted by the database itself."""
        if hole.interval is Interval.HOUR:
            day_ms = Interval.DAY.ms
            first, end = hole.from_ms // day_ms * day_ms, -(-hole.until_ms // day_ms) * day_ms
            await rollup.roll_up(self._db, pair, Interval.DAY, first, end)


def in_order(settings: Settings, pairs: Iterable[str]) -> list[str]:
    """Return the pairs and what they need, each after what it needs."""
    needed: dict[str, None] = {}
    for pair in pairs:
        source = settings.pairs[pair].derived_from or pair
        if source != REFERENCE_PAIR and REFERENCE_PAIR in settings.source_pairs and _needs_usdt(settings, source):
            needed[REFERENCE_PAIR] = None
        needed |= {source: None, pair: None}
    return list(needed)


def _needs_usdt(settings: Settings, pair: str) -> bool:
    return any(settings.quote(pair, exchange) is Quote.USDT for exchange in settings.pairs[pair].symbols)
