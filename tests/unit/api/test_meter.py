"""What the supervisor is told of a handler."""

import pytest

from priceverse.api.meter import Meter
from priceverse.rpc.envelope import Done
from priceverse.rpc.errors import CallError, Code


def test_before_the_first_call_there_are_no_latencies():
    assert Meter().stats() == {"requests": 0, "errors": 0}


def test_only_our_own_faults_are_errors():
    meter = Meter()
    meter.observe(Done(None), 0.01)
    for code in (Code.INVALID_PAIR, Code.NOT_FOUND, Code.PRICE_STALE, Code.INTERNAL):
        meter.observe(CallError(code, ""), 0.01)
    assert (meter.stats()["requests"], meter.stats()["errors"]) == (5, 1)


def test_latencies_are_those_of_late():
    meter = Meter()
    meter.observe(Done(None), 1000.0)
    for i in range(1000):
        meter.observe(Done(None), i / 1000)
    stats = meter.stats()
    assert stats["latency_mean_s"] == pytest.approx(0.4995)
    assert stats["latency_p99_s"] == pytest.approx(0.99)
