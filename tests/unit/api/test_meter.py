"""What the supervisor is told of a handler."""

import pytest

from priceverse.api.meter import Meter
from priceverse.metrics import catalogue, tally
from priceverse.rpc.envelope import Done
from priceverse.rpc.errors import CallError, Code


@pytest.fixture
def reported(monkeypatch):
    """What this test alone has counted, by labels."""
    monkeypatch.setattr(tally.OWN, "_values", {})
    return lambda metric: {
        tuple(labels): value for name, labels, value in tally.OWN.report()["metrics"] if name == metric.name
    }


def test_before_the_first_call_there_are_no_latencies():
    assert Meter().stats() == {"requests": 0, "errors": 0}


def test_only_our_own_faults_are_errors():
    meter = Meter()
    meter.observe("getPrice", Done(None), 0.01)
    for code in (Code.INVALID_PAIR, Code.NOT_FOUND, Code.PRICE_STALE, Code.INTERNAL):
        meter.observe("getPrice", CallError(code, ""), 0.01)
    assert (meter.stats()["requests"], meter.stats()["errors"]) == (5, 1)


def test_latencies_are_those_of_late():
    meter = Meter()
    meter.observe("getPrice", Done(None), 1000.0)
    for i in range(1000):
        meter.observe("getPrice", Done(None), i / 1000)
    stats = meter.stats()
    assert stats["latency_mean_s"] == pytest.approx(0.4995)
    assert stats["latency_p99_s"] == pytest.approx(0.99)


def test_calls_are_counted_by_method_and_code_and_a_strangers_words_are_no_label(reported):
    meter = Meter()
    meter.observe("getPrice", Done(None), 0.003)
    meter.observe("getPrice", CallError(Code.TOO_MANY_REQUESTS, ""), 0.0001)
    meter.observe("any words", CallError(Code.NOT_FOUND, ""), 0.0001)
    meter.observe("", CallError(Code.BAD_REQUEST, ""), 0.0001)
    counted = reported(catalogue.REQUESTS)
    assert counted == {("getPrice", "ok"): 1, ("getPrice", "429"): 1, ("other", "404"): 1, ("other", "400"): 1}
    assert reported(catalogue.LIMITED) == {("getPrice",): 1}
    counts = reported(catalogue.REQUEST)["getPrice",]
    assert (sum(counts[:-1]), counts[catalogue.REQUEST.bucket(0.003)]) == (2, 1)
