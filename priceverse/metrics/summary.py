"""Samples → the original document's `Metrics` object: the whole instance on one screen, camelCase as it was. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from priceverse.metrics import catalogue as metric
from priceverse.metrics.merge import totals
from priceverse.metrics.metric import Metric, Sample

ACTIVE_MS = 120_000


def summary(
    samples: Iterable[Sample], before: Mapping[Metric, float], *, elapsed_s: float, now_ms: float
) -> dict[str, Any]:
    """Return the object; `before` are the sums `elapsed_s` ago, from which the rates follow."""
    every = list(samples)
    now = totals(every)

    def per_s(of: Metric) -> float:
        return round(max(0.0, now.get(of, 0) - before.get(of, 0)) / elapsed_s, 3)

    return {
        "prices": _prices(every, now_ms) | {"updatesPerSecond": per_s(metric.PUBLISHED)},
        "exchanges": _exchanges(every),
        "database": {
            "queriesPerSecond": per_s(metric.DATABASE),
            "avgQueryTime": _mean_ms(every, metric.DATABASE),
            "connectionPoolSize": now.get(metric.DATABASE_POOL, 0),
        },
        "redis": {
            "opsPerSecond": per_s(metric.REDIS),
            "cacheHitRate": _hit_rate(every),
            "streamLag": now.get(metric.STREAM_LAG, 0),
        },
        "system": _system(every, now),
    }


def _prices(samples: list[Sample], now_ms: float) -> dict[str, Any]:
    published = [_number(sample) * 1000 for sample in samples if sample.metric is metric.PRICED_AT]
    return {
        "lastUpdateTime": round(max(published, default=0)),
        "activePairs": sum(now_ms - at_ms <= ACTIVE_MS for at_ms in published),
    }


def _exchanges(samples: list[Sample]) -> dict[str, Any]:
    trades: dict[str, float] = {}
    for sample in samples:
        if sample.metric is metric.TRADES:
            trades[sample.labels[0]] = trades.get(sample.labels[0], 0) + _number(sample)
    connected = {sample.labels[0]: bool(sample.value) for sample in samples if sample.metric is metric.CONNECTED}
    names = sorted(trades.keys() | connected.keys())
    return {
        "connected": sum(connected.values()),
        "total": len(names),
        "byExchange": {
            name: {"connected": connected.get(name, False), "tradesReceived": trades.get(name, 0)} for name in names
        },
    }


def _mean_ms(samples: list[Sample], of: Metric) -> float:
    found = [sample.value for sample in samples if sample.metric is of and isinstance(sample.value, list)]
    count = sum(sum(value[:-1]) for value in found)
    return round(1000 * sum(value[-1] for value in found) / count, 3) if count else 0.0


def _hit_rate(samples: list[Sample]) -> float:
    by_outcome = {"hit": 0.0, "miss": 0.0}
    for sample in samples:
        if sample.metric is metric.CACHE:
            by_outcome[sample.labels[1]] = by_outcome.get(sample.labels[1], 0) + _number(sample)
    lookups = sum(by_outcome.values())
    return round(by_outcome["hit"] / lookups, 4) if lookups else 0.0


def _system(samples: list[Sample], now: Mapping[Metric, float]) -> dict[str, Any]:
    cpu = {sample.labels[0]: _number(sample) for sample in samples if sample.metric is metric.CPU}
    rss_bytes = round(now.get(metric.MEMORY, 0) + now.get(metric.CHILD_MEMORY, 0))
    return {
        "uptime": round(now.get(metric.UPTIME, 0), 3),
        "memoryUsage": {"rss": rss_bytes, "heapTotal": 0, "heapUsed": 0, "external": 0, "arrayBuffers": 0},
        "cpuUsage": {mode: round(1e6 * cpu.get(mode, 0)) for mode in ("user", "system")},
    }


def _number(sample: Sample) -> float:
    return sample.value if isinstance(sample.value, int | float) else 0
