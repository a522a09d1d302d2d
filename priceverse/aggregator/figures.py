"""What an aggregator knows of its pairs, as metrics: a `Watch` over the desk, the backlog and the outbox. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping

from priceverse.bus.group import Backlog
from priceverse.metrics import catalogue as metric
from priceverse.metrics.metric import Sample
from priceverse.model.price import Excluded, Source
from priceverse.pricing.desk import Seat
from priceverse.pricing.index import Index


def of_pair(pair: str, seat: Seat, backlog: Backlog | None, at_ms: int) -> Iterator[Sample]:
    """Yield what is known of an owned pair."""
    yield Sample(metric.WINDOW, (pair,), seat.pricer.window_trades)
    yield Sample(metric.RATE_FAULT, (pair,), int(seat.rate_fault is not None))
    if backlog is not None:
        yield Sample(metric.STREAM_LAG, (pair,), backlog.lag)
        yield Sample(metric.STREAM_PENDING, (pair,), backlog.pending)
    details = seat.judged.details if seat.judged else ()
    if seat.judged is not None:
        yield Sample(metric.SOURCES, (pair,), sum(source.excluded is None for source in details))
    for reason, n in Counter(source.excluded.value for source in details if source.excluded).items():
        yield Sample(metric.EXCLUDED, (pair, reason), n)
    if seat.priced is not None:
        yield from _of_index(pair, seat.priced[0].index, at_ms, details)
    if seat.published_ms is not None:
        for each in (pair, *(() if seat.rate_fault else seat.derived)):
            yield Sample(metric.PRICED_AT, (each,), seat.published_ms / 1000)


def _of_index(pair: str, index: Index | None, at_ms: int, details: tuple[Source, ...]) -> Iterator[Sample]:
    if index is None:
        return
    yield Sample(metric.PRICE_AGE, (pair,), (at_ms - index.as_of_ms) / 1000)
    yield Sample(metric.DISPERSION, (pair,), float(index.confidence_bps))
    yield Sample(metric.DEGRADED, (pair,), int(index.degraded))
    fresh = (source.price for source in details if source.excluded is not Excluded.STALE)
    away = [abs(price - index.price) for price in fresh if price is not None]
    yield Sample(metric.DEVIATION, (pair,), float(max(away, default=0) / index.price))


def of_history(waiting: int, last_row_ms: Mapping[str, int], pair: str, seat: Seat) -> Iterator[Sample]:
    """Yield how far the history of an owned pair and of those derived from it is."""
    yield Sample(metric.HISTORY_WAITING, (pair,), waiting)
    for each in (pair, *seat.derived):
        if each in last_row_ms:
            yield Sample(metric.HISTORY_LAST, (each,), last_row_ms[each] / 1000)
