"""A price that rests on one venue of several is said when it lasts, and unsaid."""

from decimal import Decimal

from priceverse.aggregator.thin import Watch
from priceverse.model.exchange import Quote
from priceverse.pricing.convert import Rates
from priceverse.pricing.desk import Desk, Seat
from priceverse.pricing.entry import Entry
from priceverse.pricing.index import Rules
from priceverse.pricing.pricer import Market, PairPricer
from priceverse.pricing.schedule import Grid, Pace

START = 1_767_225_600_000


def a_desk(*venues: str) -> Desk:
    desk = Desk(Pace(), Rates())
    market = Market("btc-usd", dict.fromkeys(venues, Quote.USD), Rules())
    desk.seats["btc-usd"] = Seat(PairPricer(market, Grid(), Grid().position_at(START)))
    return desk


def trade(desk: Desk, venue: str, second: int) -> None:
    at_ms = START + second * 1000
    desk.seats["btc-usd"].pricer.feed(Entry((at_ms, 0), venue, str(second), Decimal(1), Decimal(1), at_ms, at_ms))
    desk.due(at_ms)


def test_one_source_of_two_is_said_when_it_lasts_and_unsaid_when_it_ends():
    desk, watch = a_desk("kraken", "okx"), Watch()
    said = []
    for venue, second in (("kraken", 1), ("kraken", 6), ("kraken", 11), ("okx", 16), ("okx", 21)):
        trade(desk, venue, second)
        watch.look(desk)
        said.append(set(watch.said))
    assert said == [set(), {"btc-usd"}, {"btc-usd"}, set(), set()]


def test_the_only_venue_of_a_pair_is_enough():
    desk, watch = a_desk("kraken"), Watch()
    for second in (1, 6, 11):
        trade(desk, "kraken", second)
        watch.look(desk)
    assert watch.said == set()


def test_a_pair_without_a_price_is_not_thin():
    desk, watch = a_desk("kraken", "okx"), Watch()
    for _ in range(3):
        watch.look(desk)
    assert watch.said == set()
