"""What is known of a pair, as metrics."""

from dataclasses import replace
from decimal import Decimal

import pytest

from priceverse.aggregator import figures
from priceverse.bus.group import Backlog
from priceverse.metrics import catalogue as metric
from priceverse.model.price import Excluded, Source
from priceverse.pricing.convert import RateFault
from priceverse.pricing.desk import Seat
from priceverse.pricing.index import Index, Verdict
from priceverse.pricing.pricer import PairPricer
from priceverse.pricing.schedule import Grid
from tests.fakes.market import MARKETS

AT_MS = 1_767_225_600_000
PAIR = "btc-usd"


def source(exchange, price, excluded=None):
    value = Decimal(price)
    return Source(exchange, value, Decimal(1), 3, AT_MS - 500, Decimal(1), value, Decimal(0), excluded)


DETAILS = (
    source("binance", "100"),
    source("kraken", "101"),
    source("okx", "90", Excluded.OUTLIER),
    source("bybit", "10", Excluded.STALE),
)
INDEX = Index(Decimal(100), Decimal(2), AT_MS - 1500, ("binance", "kraken"), Decimal("12.50"), degraded=False)


@pytest.fixture
def seat():
    seat = Seat(PairPricer(MARKETS[PAIR], Grid(), Grid().position_at(AT_MS)), ("btc-rub",))
    seat.judged = Verdict(INDEX, DETAILS, frozenset())
    seat.priced = (seat.judged, None)
    seat.published_ms = AT_MS - 250
    return seat


def told(seat, backlog=None):
    return {(each.metric, each.labels): each.value for each in figures.of_pair(PAIR, seat, backlog, AT_MS)}


def test_a_priced_pair_tells_of_its_price(seat):
    found = told(seat, Backlog(lag=3, pending=40))
    assert found == {
        (metric.WINDOW, (PAIR,)): 0,
        (metric.RATE_FAULT, (PAIR,)): 0,
        (metric.STREAM_LAG, (PAIR,)): 3,
        (metric.STREAM_PENDING, (PAIR,)): 40,
        (metric.SOURCES, (PAIR,)): 2,
        (metric.EXCLUDED, (PAIR, "outlier")): 1,
        (metric.EXCLUDED, (PAIR, "stale")): 1,
        (metric.PRICE_AGE, (PAIR,)): 1.5,
        (metric.DISPERSION, (PAIR,)): 12.5,
        (metric.DEGRADED, (PAIR,)): 0,
        (metric.DEVIATION, (PAIR,)): 0.1,  # of the outlier; what is stale says nothing of now
        (metric.PRICED_AT, (PAIR,)): AT_MS / 1000 - 0.25,
        (metric.PRICED_AT, ("btc-rub",)): AT_MS / 1000 - 0.25,
    }


def test_without_a_rate_the_derived_pair_has_no_price(seat):
    seat.rate_fault = RateFault.MISSING
    found = told(seat)
    assert found[metric.RATE_FAULT, (PAIR,)] == 1
    assert (metric.PRICED_AT, ("btc-rub",)) not in found


def test_too_few_venues_show_though_the_last_price_stands(seat):
    alone = (DETAILS[0], *(replace(each, excluded=Excluded.STALE) for each in DETAILS[1:]))
    seat.judged = Verdict(None, alone, frozenset())
    found = told(seat)
    assert (found[metric.SOURCES, (PAIR,)], found[metric.PRICE_AGE, (PAIR,)]) == (1, 1.5)


def test_a_pair_that_was_never_priced_says_only_what_is_so():
    seat = Seat(PairPricer(MARKETS[PAIR], Grid(), Grid().position_at(AT_MS)))
    assert set(told(seat)) == {(metric.WINDOW, (PAIR,)), (metric.RATE_FAULT, (PAIR,))}


def test_history_is_told_of_owned_and_derived_pairs_only(seat):
    rows = {PAIR: AT_MS - 10_000, "btc-rub": AT_MS - 20_000, "eth-usd": AT_MS}
    found = {(each.metric, each.labels): each.value for each in figures.of_history(4, rows, PAIR, seat)}
    assert found == {
        (metric.HISTORY_WAITING, (PAIR,)): 4,
        (metric.HISTORY_LAST, (PAIR,)): AT_MS / 1000 - 10,
        (metric.HISTORY_LAST, ("btc-rub",)): AT_MS / 1000 - 20,
    }
