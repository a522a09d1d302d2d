"""The latency figures of live prices."""

from priceverse.aggregator.live import LATENCY_SPAN_MS, Latencies


def test_quantiles_are_of_the_last_minute():
    seen = Latencies()
    assert seen.quantile(0.5) is None
    seen.add(0, 9999)
    for number in range(1, 101):
        seen.add(LATENCY_SPAN_MS + 1, number)
    assert (seen.quantile(0.5), seen.quantile(0.99), seen.quantile(1)) == (51, 100, 100)
