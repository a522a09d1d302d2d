"""What a process counts, and how it travels."""

import json

import pytest

from priceverse.metrics import catalogue as metric
from priceverse.metrics.metric import Sample, unpacked
from priceverse.metrics.tally import Tally


def travelled(tally):
    """The samples as the root reads them."""
    return unpacked(json.loads(json.dumps(tally.report()))["metrics"], metric.KNOWN)


def test_sums_observations_and_gauges_arrive():
    tally = Tally()
    tally.count(metric.TRADES, 2, "kraken", "btc-usd")
    tally.count(metric.TRADES, 3, "kraken", "btc-usd")
    tally.observe(metric.PUBLISH, 0.011)
    tally.observe(metric.PUBLISH, 100.0)
    tally.gauge(metric.RATE_AGE, 2)
    tally.gauge(metric.RATE_AGE, 1)
    assert travelled(tally) == [
        Sample(metric.TRADES, ("kraken", "btc-usd"), 5),
        Sample(metric.PUBLISH, (), [0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 100.011]),
        Sample(metric.RATE_AGE, (), 1),
    ]


def test_an_observation_on_a_bound_is_within_it():
    tally = Tally()
    tally.observe(metric.PUBLISH, metric.PUBLISH.buckets[0])
    assert travelled(tally)[0].value[0] == 1


def test_the_watched_are_asked_as_long_as_they_are_watched_and_equal_ones_add_up():
    tally = Tally()

    def pool():
        yield Sample(metric.DATABASE_POOL, ("idle",), 2)

    with tally.watching(pool), tally.watching(pool):
        assert travelled(tally) == [Sample(metric.DATABASE_POOL, ("idle",), 4)]
    tally.unwatch(pool)
    assert travelled(tally) == []


@pytest.mark.parametrize(
    "word",
    [
        None,
        "trades",
        ["no_such_metric", [], 1],
        ["trades", ["kraken"], 1],
        ["trades", ["kraken", "btc-usd"], "1"],
        ["trades", ["kraken", "btc-usd"], True],
        ["trades", ["kraken", "btc-usd"], [1]],
        ["publish_latency_seconds", [], 1],
        ["publish_latency_seconds", [], [1, 2]],
        ["trades", "kb", 1],
    ],
)
def test_what_is_not_of_the_catalogue_is_left_out(word):
    good = ["rate_age_days", [], 1]
    assert unpacked([word, good], metric.KNOWN) == [Sample(metric.RATE_AGE, (), 1)]
    assert unpacked(word, metric.KNOWN) == []
