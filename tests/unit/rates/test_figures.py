"""What the keeper of the rate says, as metrics."""

from datetime import date
from decimal import Decimal

from priceverse.metrics import catalogue as metric
from priceverse.model.rate import Rate
from priceverse.rates import figures
from priceverse.rates.keeper import Keeper

TODAY = date(2026, 1, 10)


def told(keeper):
    return {each.metric: each.value for each in figures.samples(keeper.snapshot())}


def test_without_a_rate_there_is_no_age():
    assert told(Keeper(Decimal("0.2"), lambda: TODAY)) == {metric.RATE_FAILURES: 0, metric.RATE_HELD: 0}


def test_a_rate_has_an_age_and_one_that_jumps_is_held():
    keeper = Keeper(Decimal("0.2"), lambda: TODAY)
    keeper.consider(Rate(Decimal(78), date(2026, 1, 8), 1))
    keeper.failures = 3
    assert told(keeper) == {metric.RATE_FAILURES: 3, metric.RATE_HELD: 0, metric.RATE_AGE: 2}
    keeper.consider(Rate(Decimal(150), TODAY, 2))
    assert told(keeper)[metric.RATE_HELD] == 1
