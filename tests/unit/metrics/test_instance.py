"""The instance in numbers, from beats, events and the status of the tree."""

import json

import pytest

from priceverse.metrics import catalogue as metric
from priceverse.metrics import pages
from priceverse.metrics.instance import Instance
from priceverse.metrics.metric import Sample, packed, unpacked


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def instance(clock):
    return Instance("2.0.0", now_s=clock)


def beat(*samples, counters=None, busy=0.25, lag_s=0.001):
    reported = packed({(sample.metric, sample.labels): sample.value for sample in samples})
    return {"stats": {"metrics": reported}, "counters": counters or {}, "busy": busy, "lag_s": lag_s}


def value(instance, of, *labels):
    return {sample.labels: sample.value for sample in instance.samples() if sample.metric is of}.get(labels)


def test_a_beat_brings_metrics_progress_and_the_state_of_the_loop(instance):
    instance.on_beat("rates", 7, beat(Sample(metric.RATE_AGE, (), 1), counters={"fetches": 3}))
    assert value(instance, metric.RATE_AGE) == 1
    assert value(instance, metric.PROGRESS, "fetches", "rates") == 3
    assert value(instance, metric.LOOP_BUSY, "rates") == 0.25


def test_a_beat_without_metrics_is_a_beat(instance):
    instance.on_beat("simulator", 7, {"stats": {}, "counters": {}, "busy": 0.0, "lag_s": 0.0})
    assert value(instance, metric.LOOP_LAG, "simulator") == 0


def test_starts_restarts_and_unasked_ends_are_counted(instance):
    instance.on_event("worker_started", "api.0", {"restarts": 0})
    instance.on_event("worker_exited", "api.0", {"expected": False, "end": "signal 9"})
    instance.on_event("worker_started", "api.0", {"restarts": 1})
    instance.on_event("worker_exited", "api.0", {"expected": True, "end": "exit code 0"})
    assert value(instance, metric.CHILD_STARTS, "api.0") == 2
    assert value(instance, metric.CHILD_RESTARTS, "api.0") == 1
    assert value(instance, metric.CHILD_EXITS, "api.0", "signal 9") == 1
    assert value(instance, metric.CHILD_EXITS, "api.0", "exit code 0") is None
    assert value(instance, metric.EVENTS, "worker_exited") == 2


def test_an_end_takes_the_gauges_and_leaves_the_sums(instance):
    instance.on_beat("collector.okx", 7, beat(Sample(metric.CONNECTED, ("okx",), 1), Sample(metric.GAPS, ("okx",), 2)))
    instance.on_event("worker_exited", "collector.okx", {"expected": False, "end": "signal 9"})
    assert value(instance, metric.CONNECTED, "okx") is None
    assert value(instance, metric.GAPS, "okx") == 2


def test_the_tree_tells_of_its_children_and_pools(instance):
    child = {"name": "api.0", "role": "api", "state": "ready", "rss_bytes": 5000, "cpu": 0.5}
    fallen = {**child, "name": "api.1", "state": "fatal"}
    pool = {"name": "api", "size": 2, "active": 1}
    instance.of_tree(lambda: {"children": [child, fallen], "pools": [pool]})
    assert value(instance, metric.CHILD_UP, "api.0", "api") == 1
    assert value(instance, metric.CHILD_UP, "api.1", "api") == 0
    assert value(instance, metric.CHILD_STATE, "api.1", "fatal") == 1
    assert value(instance, metric.CHILD_MEMORY, "api.0") == 5000
    assert (value(instance, metric.POOL_SIZE, "api"), value(instance, metric.POOL_READY, "api")) == (2, 1)


def test_the_summary_has_the_original_shape_and_rates_of_the_last_seconds(instance, clock):
    found = metric.DATABASE.zero()
    for second in range(30):
        clock.now_s += 1
        found[1], found[-1] = 4 * (second + 1), 0.008 * (second + 1)
        instance.on_beat(
            "aggregator.0",
            7,
            beat(
                Sample(metric.PUBLISHED, (), 20 * (second + 1)),
                Sample(metric.DATABASE, (), list(found)),
                Sample(metric.PRICED_AT, ("btc-usd",), 1_700_000_000.5),
                Sample(metric.CONNECTED, ("okx",), 1),
                Sample(metric.CONNECTED, ("bybit",), 0),
                Sample(metric.TRADES, ("okx", "btc-usd"), 3),
                Sample(metric.TRADES, ("okx", "eth-usd"), 4),
                Sample(metric.CACHE, ("memory", "hit"), 3),
                Sample(metric.CACHE, ("memory", "miss"), 1),
                Sample(metric.STREAM_LAG, ("btc-usd",), 2),
            ),
        )
    summary = instance.summary()
    assert summary["prices"] == {"updatesPerSecond": 20, "lastUpdateTime": 1_700_000_000_500, "activePairs": 0}
    assert summary["exchanges"] == {
        "connected": 1,
        "total": 2,
        "byExchange": {
            "bybit": {"connected": False, "tradesReceived": 0},
            "okx": {"connected": True, "tradesReceived": 7},
        },
    }
    assert summary["database"] == {"queriesPerSecond": 4, "avgQueryTime": 2, "connectionPoolSize": 0}
    assert summary["redis"] == {"opsPerSecond": 0, "cacheHitRate": 0.75, "streamLag": 2}
    assert summary["system"]["uptime"] == 30
    assert summary["system"]["memoryUsage"]["rss"] > 0
    assert set(summary["system"]["cpuUsage"]) == {"user", "system"}


def test_another_process_reads_back_every_sample(instance):
    instance.on_beat("rates", 7, beat(Sample(metric.RATE_AGE, (), 1), counters={"fetches": 3}))
    words = json.loads(pages.private(instance)["/samples"]("").body)
    read = unpacked(words, metric.KNOWN, merged=True)
    assert len(read) == len(words)
    assert Sample(metric.RATE_AGE, (), 1) in read
    assert Sample(metric.PROGRESS, ("fetches", "rates"), 3) in read


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("application/json, text/plain", True),
        ("text/html, application/json", False),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1", False),
    ],
)
def test_who_asks_for_json_first_gets_json(instance, accept, is_json):
    page = pages.public(instance)["/metrics"](accept)
    assert page.content_type.startswith(
        "application/json" if is_json else "application/openmetrics-text; version=1.0.0"
    )
    assert (json.loads(page.body)["system"] is not None) if is_json else page.body.endswith(b"# EOF\n")
