"""What a collector's ledger says, as metrics. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from priceverse.metrics import catalogue as metric
from priceverse.metrics.metric import Sample

_QUIETLY = ("duplicates", "historical", "block")
_SUMS = {
    "published": metric.PUBLISHED_TRADES,
    "dropped": metric.DROPPED,
    "reconnects": metric.RECONNECTS,
    "gaps": metric.GAPS,
    "backfilled": metric.BACKFILLED,
    "lost_total": metric.LOST,
    "cut_unread": metric.CUT_UNREAD,
}
_GAUGES = {"gaps_open": metric.GAPS_OPEN, "queue": metric.QUEUE}


def samples(snapshot: Mapping[str, Any]) -> Iterator[Sample]:
    """Yield the samples of a `Ledger.snapshot`."""
    exchange = str(snapshot["exchange"])
    for key, each in (_SUMS | _GAUGES).items():
        yield Sample(each, (exchange,), snapshot[key])
    for pair, n in snapshot["trades"].items():
        yield Sample(metric.TRADES, (exchange, pair), n)
    for reason, n in snapshot["rejects"].items():
        yield Sample(metric.REJECTS, (exchange, reason), n)
    for key in _QUIETLY:
        yield Sample(metric.IGNORED, (exchange, key), snapshot[key])
    yield Sample(metric.CONNECTED, (exchange,), int(snapshot["connected"]))
    if snapshot["last_trade_ms"] is not None:
        yield Sample(metric.LAST_TRADE, (exchange,), snapshot["last_trade_ms"] / 1000)
    if snapshot["skew_ms"] is not None:
        yield Sample(metric.SKEW, (exchange,), snapshot["skew_ms"] / 1000)
    latencies = [*snapshot["latency_ms"].values(), snapshot["latency_sum_ms"] / 1000]
    yield Sample(metric.INGEST, (exchange,), latencies)
