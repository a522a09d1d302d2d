"""The page, read by a parser that nobody here wrote."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from priceverse.metrics import catalogue
from priceverse.metrics.exposition import render
from priceverse.metrics.metric import Kind, Sample


def parsed(*samples):
    page = render(catalogue.ALL, samples).decode()
    return {family.name: family for family in text_string_to_metric_families(page)}


def test_every_declared_metric_has_its_family_type_and_help():
    families = parsed()
    assert list(families) == [metric.full_name for metric in catalogue.ALL]
    for metric in catalogue.ALL:
        assert (families[metric.full_name].type, families[metric.full_name].documentation) == (metric.kind, metric.help)


def test_what_is_measured_in_a_unit_says_so():
    units = {name: family.unit for name, family in parsed().items() if name.endswith(("_seconds", "_bytes"))}
    assert units
    assert all(name.endswith(f"_{unit}") for name, unit in units.items())


def test_a_counter_ends_in_total_and_a_gauge_does_not():
    families = parsed(
        Sample(catalogue.TRADES, ("kraken", "btc-usd"), 12), Sample(catalogue.CHILD_MEMORY, ("api.0",), 68694016)
    )
    [trades] = families["priceverse_trades"].samples
    assert (trades.name, trades.labels, trades.value) == (
        "priceverse_trades_total",
        {"exchange": "kraken", "pair": "btc-usd"},
        12,
    )
    [memory] = families["priceverse_child_resident_memory_bytes"].samples
    assert (memory.name, memory.value) == ("priceverse_child_resident_memory_bytes", 68694016)


def test_buckets_are_cumulative_and_complete():
    value = catalogue.REQUEST.zero()
    value[0], value[3], value[-2], value[-1] = 5, 2, 1, 12.5
    samples = parsed(Sample(catalogue.REQUEST, ("getPrice",), value))["priceverse_request_latency_seconds"].samples
    buckets = {each.labels["le"]: each.value for each in samples if each.name.endswith("_bucket")}
    assert (buckets["0.0001"], buckets["0.0025"], buckets["10.0"], buckets["+Inf"]) == (5, 7, 7, 8)
    assert {each.name.rpartition("_")[2]: each.value for each in samples[-2:]} == {"count": 8, "sum": 12.5}


def test_labels_keep_their_quotes_backslashes_and_line_ends():
    strange = 'a "b" \\ c\nd'
    [sample] = parsed(Sample(catalogue.CHILD_EXITS, ("api.0", strange), 1))["priceverse_child_exits"].samples
    assert sample.labels["end"] == strange


def test_the_build_is_information():
    [sample] = parsed(Sample(catalogue.BUILD, ("2.0.0", "3.11.9"), 1))["priceverse_build"].samples
    assert (sample.name, sample.labels) == ("priceverse_build_info", {"version": "2.0.0", "python": "3.11.9"})


def test_names_are_those_that_prometheus_wants():
    for metric in catalogue.ALL:
        assert not metric.name.endswith(("_total", "_info", "_count", "_sum", "_bucket", "_created"))
        assert metric.name.islower()
        assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert "le" not in metric.label_names
