"""What the aggregator says of itself: to the supervisor with each beat, to the whole instance over the bus."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import trio

from priceverse.aggregator import figures
from priceverse.aggregator.history import Outbox
from priceverse.aggregator.live import Publisher
from priceverse.aggregator.reading import Reading
from priceverse.bus import group, stats
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.bus.group import Backlog
from priceverse.clock import now_ms
from priceverse.metrics import catalogue
from priceverse.metrics.metric import Sample
from priceverse.pricing.desk import Desk, Seat

REPORT_EVERY_S = 1.0


class Report:
    """Reads the parts, changes nothing."""

    def __init__(self, *, desk: Desk, reading: Reading, outbox: Outbox, publisher: Publisher) -> None:
        self._desk = desk
        self._reading = reading
        self._outbox = outbox
        self._publisher = publisher
        self._backlog: Mapping[str, Backlog] = {}

    def stats(self) -> dict[str, Any]:
        """Return everything, of every owned pair too."""
        waiting = self._outbox.waiting()
        return {
            "pairs": {pair: self._pair(pair, seat, waiting.get(pair, 0)) for pair, seat in self._desk.seats.items()},
            "published": self._publisher.published,
            "publish_p50_ms": self._publisher.latencies.quantile(0.5),
            "publish_p99_ms": self._publisher.latencies.quantile(0.99),
            "history_waiting": sum(waiting.values()),
            "history_dropped": self._outbox.dropped,
            "history_fault": str(self._outbox.fault) if self._outbox.fault else None,
            "redis_away": self._publisher.is_redis_away,
        }

    def samples(self) -> Iterator[Sample]:
        """Yield everything as metrics: a `Watch`."""
        waiting = self._outbox.waiting()
        for pair, seat in self._desk.seats.items():
            closed = len(seat.pricer.closed)
            yield from figures.of_pair(pair, seat, self._backlog.get(pair), now_ms())
            yield from figures.of_history(waiting.get(pair, 0) + closed, self._outbox.last_row_ms, pair, seat)
        yield Sample(catalogue.PUBLISHED, (), self._publisher.published)
        yield Sample(catalogue.HISTORY_DROPPED, (), self._outbox.dropped)

    def streams(self) -> dict[str, Any]:
        """Return how far the reading of each owned stream is, by pair: for `ctl streams`."""
        shown = ("lag", "pending", "history_waiting", "last_row_ms")
        return {pair: {key: of[key] for key in shown} for pair, of in self.stats()["pairs"].items()}

    async def run(self, door: RedisDoor, instance: str, child: str) -> None:
        """Report over the bus for ever."""
        while True:
            with suppress(RedisUnavailable):  # then there is nowhere to report to
                self._backlog = await group.backlog(door, sorted(self._desk.seats))
                await stats.report(door, instance, child, self.stats())
            await trio.sleep(REPORT_EVERY_S)

    def _pair(self, pair: str, seat: Seat, waiting: int) -> dict[str, Any]:
        pricer, followed = seat.pricer, self._reading.owned.get(pair)
        backlog = self._backlog.get(pair)
        return {
            "window_trades": pricer.window_trades,
            **_judged(seat, now_ms()),
            "rate_fault": seat.rate_fault.value if seat.rate_fault else None,
            "refused": dict(pricer.refused),
            "left_out_of_candles": dict(pricer.left),
            "late": pricer.late,
            "epoch": seat.epoch,
            "unreadable": followed.unreadable if followed else 0,
            "lag": backlog.lag if backlog else None,
            "pending": backlog.pending if backlog else None,
            "history_waiting": waiting + len(pricer.closed),
            "last_row_ms": self._outbox.last_row_ms.get(pair),
        }


def _judged(seat: Seat, at_ms: int) -> dict[str, Any]:
    details = seat.judged.details if seat.judged else ()
    index = seat.priced[0].index if seat.priced else None
    return {
        "age_ms": at_ms - index.as_of_ms if index else None,
        "sources": len(index.sources) if index else 0,
        "degraded": index.degraded if index else False,
        "confidence_bps": str(index.confidence_bps) if index else None,
        "excluded": {source.exchange: source.excluded.value for source in details if source.excluded},
    }
