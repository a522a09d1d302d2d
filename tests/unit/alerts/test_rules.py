"""What each rule finds wrong, and that it finds nothing in an instance that is well."""

from decimal import Decimal
from pathlib import Path

import pytest

from priceverse.alerts.rules import Figures, rules
from priceverse.config.settings import Alerts, Exchanges, Settings
from priceverse.metrics import catalogue as metric
from priceverse.metrics.metric import Sample

NOW_S = 1_767_225_600.0
SETTINGS = Settings(exchanges=Exchanges(enabled=("binance", "kraken")), alerts=Alerts(max_deviation=Decimal("0.02")))


def well():
    """Everything as it should be, by metric and labels."""
    pairs = SETTINGS.source_pairs
    return {
        **{(metric.CONNECTED, (each,)): 1 for each in ("binance", "kraken")},
        **{(metric.PRICE_AGE, (pair,)): 1.5 for pair in pairs},
        **{(metric.SOURCES, (pair,)): 2 for pair in pairs},
        **{(metric.DEVIATION, (pair,)): 0.001 for pair in pairs},
        **{(metric.HISTORY_LAST, (pair,)): NOW_S - 12 for pair in pairs},
        (metric.RATE_AGE, ()): 1,
        (metric.RATE_HELD, ()): 0,
        (metric.CHILD_STATE, ("api.0", "ready")): 1,
        (metric.DISK, ("/",)): 0.4,
        (metric.REDIS_MEMORY, ()): 0.1,
    }


def found(figures):
    """(rule, subject) → what is wrong."""
    seen = Figures([Sample(each, labels, value) for (each, labels), value in figures.items()], NOW_S)
    return {(rule.name, subject): what for rule in rules(SETTINGS) for subject, what in rule.find(seen)}


def test_an_instance_that_is_well_has_nothing():
    assert found(well()) == {}


@pytest.mark.parametrize(
    ("changes", "rule", "subject", "what"),
    [
        ({(metric.CONNECTED, ("kraken",)): 0}, "exchange_down", "kraken", "kraken is not connected"),
        (
            {(metric.CONNECTED, ("kraken",)): 0, (metric.LAST_TRADE, ("kraken",)): NOW_S - 400},
            *("exchange_down", "kraken", "kraken is not connected, last trade 400 s ago"),
        ),
        (
            {(metric.PRICE_AGE, ("btc-usd",)): 130},
            *("price_stale", "btc-usd", "btc-usd is 130 s old, 120 s are allowed"),
        ),
        (
            {(metric.SOURCES, ("btc-usd",)): 1},
            *("sources_below_minimum", "btc-usd", "btc-usd is made of 1 venues, 2 are wanted"),
        ),
        (
            {(metric.DEVIATION, ("btc-usd",)): 0.031},
            *("price_deviation", "btc-usd", "btc-usd: 3.1% from the price, 2.0% are allowed"),
        ),
        (
            {(metric.RATE_AGE, ()): 5},
            *("rate_stale", "usd-rub", "the Bank of Russia rate is 5 days old, 4 are allowed"),
        ),
        (
            {(metric.RATE_HELD, ()): 1},
            *("rate_held", "usd-rub", "the newest Bank of Russia rate has jumped and is held: somebody must look"),
        ),
        ({(metric.CHILD_STATE, ("api.1", "fatal")): 1}, "child_fatal", "api.1", "api.1 has been given up"),
        (
            {(metric.HISTORY_LAST, ("btc-usd",)): NOW_S - 200},
            *("history_hole", "btc-usd", "the newest row of btc-usd is 200 s old"),
        ),
        ({(metric.DISK, ("/",)): 0.95}, "disk_full", "/", "/: 95.0% used, 90.0% are allowed"),
        ({(metric.REDIS_MEMORY, ()): 0.9}, "redis_memory_high", "redis", "redis: 90.0% used, 80.0% are allowed"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changes, rule, subject, what):
    assert found({**well(), **changes}) == {(rule, subject): what}


@pytest.mark.parametrize(
    ("missing", "rule", "subject"),
    [
        ((metric.CONNECTED, ("kraken",)), "exchange_down", "kraken"),
        ((metric.PRICE_AGE, ("btc-usd",)), "price_stale", "btc-usd"),
        ((metric.RATE_AGE, ()), "rate_stale", "usd-rub"),
    ],
)
def test_silence_is_wrong_too(missing, rule, subject):
    figures = well()
    del figures[missing]
    assert set(found(figures)) == {(rule, subject)}


def test_a_quiet_pair_has_no_hole_in_its_history():
    figures = {**well(), (metric.HISTORY_LAST, ("xmr-usd",)): NOW_S - 200, (metric.PRICE_AGE, ("xmr-usd",)): 100}
    assert found(figures) == {}


def test_every_rule_names_a_metric_that_the_prometheus_rules_name_as_well():
    shipped = (Path(__file__).parents[3] / "etc/prometheus/alerts.yml").read_text(encoding="utf-8")
    for rule in rules(SETTINGS):
        assert f"priceverse_rule: {rule.name}\n" in shipped
