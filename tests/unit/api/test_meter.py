"""What the supervisor is told of a handler."""

import pytest

from priceverse.api.meter import Meter
from priceverse.metrics import catalogue
from priceverse.rpc.envelope import Done
from priceverse.rpc.errors import CallError, Code


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


def test_calls_are_counted_by_method_and_code_and_a_strangers_words_are_no_label():
    meter = Meter()
    meter.observe("getPrice", Done(None), 0.003)
    meter.observe("getPrice", CallError(Code.TOO_MANY_REQUESTS, ""), 0.0001)
    meter.observe("any words", CallError(Code.NOT_FOUND, ""), 0.0001)
    meter.observe("", CallError(Code.BAD_REQUEST, ""), 0.0001)
    found = {(sample.metric, sample.labels): sample.value for sample in meter.samples()}
    spans = found.pop((catalogue.REQUEST, ("getPrice",)))
    assert (sum(spans[:-1]), spans[catalogue.REQUEST.bucket(0.003)], spans[-1]) == (2, 1, pytest.approx(0.0031))
    assert sum(found.pop((catalogue.REQUEST, ("other",)))[:-1]) == 2
    assert found == {
        (catalogue.REQUESTS, ("getPrice", "ok")): 1,
        (catalogue.REQUESTS, ("getPrice", "429")): 1,
        (catalogue.LIMITED, ("getPrice",)): 1,
        (catalogue.REQUESTS, ("other", "404")): 1,
        (catalogue.REQUESTS, ("other", "400")): 1,
    }
