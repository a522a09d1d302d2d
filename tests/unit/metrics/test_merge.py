"""What processes counted adds up, whatever becomes of them."""

import pytest

from priceverse.metrics import catalogue as metric
from priceverse.metrics.merge import Merge, totals
from priceverse.metrics.metric import Sample


def trades(n, exchange="kraken"):
    return Sample(metric.TRADES, (exchange, "btc-usd"), n)


def values(merge):
    return {(sample.metric.name, sample.labels): sample.value for sample in merge.samples()}


def value(merge, *labels, of=metric.TRADES):
    return values(merge)[of.name, labels]


def test_reports_of_one_process_are_sums_and_not_added_again():
    merge = Merge()
    for n in (5, 7, 7):
        merge.hear("collector.kraken", 1, [trades(n)])
    assert value(merge, "kraken", "btc-usd") == 7


def test_a_new_process_counts_from_zero_and_the_old_ones_count_stays():
    merge = Merge()
    merge.hear("collector.kraken", 1, [trades(7)])
    merge.gone("collector.kraken")
    assert value(merge, "kraken", "btc-usd") == 7
    merge.hear("collector.kraken", 2, [trades(3)])
    assert value(merge, "kraken", "btc-usd") == 10


def test_a_counter_never_goes_back_even_when_a_process_number_is_used_again():
    merge = Merge()
    merge.hear("collector.kraken", 1, [trades(7)])
    merge.hear("collector.kraken", 1, [trades(2)])
    assert value(merge, "kraken", "btc-usd") == 9


def test_two_processes_become_one_number():
    merge = Merge()
    merge.hear("api.0", 1, [Sample(metric.REQUESTS, ("getPrice", "ok"), 5)])
    merge.hear("api.1", 2, [Sample(metric.REQUESTS, ("getPrice", "ok"), 6)])
    assert value(merge, "getPrice", "ok", of=metric.REQUESTS) == 11


def test_histograms_add_up_bucket_by_bucket():
    merge = Merge()
    one = metric.PUBLISH.zero()
    one[0], one[-1] = 2, 0.25
    merge.hear("aggregator.0", 1, [Sample(metric.PUBLISH, (), list(one))])
    merge.hear("aggregator.1", 2, [Sample(metric.PUBLISH, (), list(one))])
    merge.hear("aggregator.1", 3, [Sample(metric.PUBLISH, (), list(one))])
    found = value(merge, of=metric.PUBLISH)
    assert (found[0], sum(found[:-1]), found[-1]) == (6, 6, 0.75)
    assert totals(merge.samples())[metric.PUBLISH] == 6


def test_a_gauge_is_forgotten_with_its_process_and_when_it_is_no_longer_reported():
    merge = Merge()
    merge.hear("aggregator.0", 1, [Sample(metric.WINDOW, ("btc-usd",), 9), Sample(metric.WINDOW, ("eth-usd",), 4)])
    merge.hear("aggregator.0", 1, [Sample(metric.WINDOW, ("btc-usd",), 8)])
    assert values(merge) == {("window_trades", ("btc-usd",)): 8}
    merge.gone("aggregator.0")
    assert values(merge) == {}


def test_gauges_of_two_processes_stay_two():
    merge = Merge()
    merge.hear("api.0", 1, [Sample(metric.CONNECTIONS, (), 3)])
    merge.hear("api.1", 2, [Sample(metric.CONNECTIONS, (), 4)])
    assert values(merge) == {("api_connections", ("api.0",)): 3, ("api_connections", ("api.1",)): 4}


@pytest.mark.parametrize("child", ["x", "api.0"])
def test_the_end_of_an_unknown_child_is_nothing(child):
    Merge().gone(child)
