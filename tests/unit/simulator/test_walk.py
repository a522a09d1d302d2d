"""The market that nobody runs: reproducible, at a realistic pace, near one price, with ids that venues really have."""

from collections import defaultdict
from itertools import pairwise
from random import Random
from statistics import median

import pytest

from priceverse.model.exchange import Exchange, Quote
from priceverse.simulator.listings import LISTINGS
from priceverse.simulator.match import NS_PER_MS, NS_PER_S
from priceverse.simulator.walk import START_USD, Walk

MINUTE_NS = 60 * NS_PER_S


def walked(seed: int, start_ns: int, *, length_ns: int = MINUTE_NS, speed: float = 1.0):
    return Walk(Random(seed), LISTINGS, start_ns, speed).due(start_ns + length_ns)


def by_listing(sweeps):
    found = defaultdict(list)
    for listing, fills in sweeps:
        found[listing] += fills
    return found


def test_the_same_seed_makes_the_same_market(now_ns):
    assert walked(1, now_ns) == walked(1, now_ns)
    assert walked(1, now_ns) != walked(2, now_ns)


def test_asking_in_small_steps_makes_the_same_market(now_ns):
    walk = Walk(Random(3), LISTINGS, now_ns)
    steps = [sweep for ms in range(0, 10_001, 7) for sweep in walk.due(now_ns + ms * NS_PER_MS)]
    assert steps == walked(3, now_ns, length_ns=10_000 * NS_PER_MS)[: len(steps)]
    assert len(steps) > 400


def test_the_pace_is_that_of_a_market(now_ns):
    traded = by_listing(walked(4, now_ns))
    per_s = {listing: len(fills) / 60 for listing, fills in traded.items()}
    assert 100 < sum(per_s.values()) < 300
    assert next(rate for listing, rate in per_s.items() if listing.symbol == "BTCUSDT") > 20
    assert all(0 < rate < 2 for listing, rate in per_s.items() if listing.asset == "xmr")


def test_speed_multiplies_the_pace(now_ns):
    assert len(walked(5, now_ns, length_ns=NS_PER_S, speed=60)) == pytest.approx(len(walked(5, now_ns)), rel=0.15)


def test_times_rise_and_are_never_in_the_future(now_ns):
    for fills in by_listing(walked(6, now_ns)).values():
        times_ns = [fill.time_ns for fill in fills]
        assert all(earlier < later for earlier, later in pairwise(times_ns))
        assert times_ns[-1] <= now_ns + MINUTE_NS


def test_a_sweep_is_one_order_within_a_millisecond_that_moves_the_price_one_way(now_ns):
    sweeps = [fills for _, fills in walked(7, now_ns) if len(fills) > 3]
    assert sweeps
    for fills in sweeps:
        assert len({fill.order for fill in fills}) == len({fill.side for fill in fills}) == 1
        assert fills[-1].time_ns - fills[0].time_ns < NS_PER_MS
        prices = [float(fill.price) for fill in fills]
        assert prices in (sorted(prices), sorted(prices, reverse=True))


@pytest.mark.parametrize("exchange", [Exchange.BINANCE, Exchange.KRAKEN, Exchange.COINBASE, Exchange.OKX])
def test_ids_are_consecutive_where_the_venue_counts_by_one(exchange, now_ns):
    for listing, fills in by_listing(walked(8, now_ns)).items():
        if listing.exchange is exchange:
            assert {int(b.trade_id) - int(a.trade_id) for a, b in pairwise(fills)} <= {1}


def test_ids_leap_where_the_venue_leaps(now_ns):
    for listing, fills in by_listing(walked(9, now_ns)).items():
        steps = {int(b.trade_id) - int(a.trade_id) for a, b in pairwise(fills)}
        if listing.exchange is Exchange.KUCOIN:
            assert all(step > 0 and step % 1024 == 0 for step in steps)
        if listing.exchange is Exchange.BYBIT and listing.asset == "eth":
            assert len(steps) > 5
            assert min(steps) >= 1


@pytest.mark.parametrize("speed", [1.0, 50.0])
def test_a_market_restarted_after_a_second_never_repeats_an_id(speed, now_ns):
    past_ns, lived_ns = int(30 * NS_PER_S / speed), NS_PER_S
    for seed in range(10):
        before = by_listing(walked(seed, now_ns, length_ns=past_ns + lived_ns, speed=speed))
        again = by_listing(walked(seed, now_ns + lived_ns + NS_PER_S, length_ns=past_ns, speed=speed))
        for listing in set(before) & set(again):
            assert int(again[listing][0].trade_id) > int(before[listing][-1].trade_id)


def test_venues_agree_once_tether_is_turned_into_dollars(now_ns):
    usd = {}
    for listing, fills in by_listing(walked(11, now_ns)).items():
        price = median(float(fill.price) for fill in fills)
        usd[listing] = price * START_USD["usdt"] if listing.quote is Quote.USDT and listing.asset != "usdt" else price
    for listing, price in usd.items():
        assert price == pytest.approx(START_USD[listing.asset], rel=0.01)
        assert all(
            price == pytest.approx(other, rel=0.004) for each, other in usd.items() if each.asset == listing.asset
        )


def test_every_number_is_positive_and_on_the_grid_of_its_listing(now_ns):
    for listing, fills in by_listing(walked(12, now_ns)).items():
        for fill in fills:
            for text, places in ((fill.price, listing.price_places), (fill.volume, listing.volume_places)):
                assert float(text) > 0
                assert len(text.partition(".")[2].rstrip("0")) <= places


def test_after_a_pause_the_market_goes_on_without_making_up_for_it(now_ns):
    walk = Walk(Random(13), LISTINGS, now_ns)
    walk.skip_to(now_ns + 3600 * NS_PER_S)
    assert walk.next_ns >= now_ns + 3600 * NS_PER_S
    assert len(walk.due(now_ns + 3600 * NS_PER_S + NS_PER_S)) < 300


def test_a_depeg_lowers_tether_and_raises_prices_in_tether(now_ns):
    walk = Walk(Random(14), LISTINGS, now_ns)
    walk.peg = 0.9
    walk.due(now_ns + MINUTE_NS)
    prices = {listing: float(fills[-1].price) for listing, fills in walk.due(now_ns + 2 * MINUTE_NS)}
    for listing, price in prices.items():
        if listing.asset == "usdt":
            assert price == pytest.approx(0.9, rel=0.01)
        if listing.symbol == "BTCUSDT":
            assert price == pytest.approx(START_USD["btc"] / 0.9, rel=0.01)


def test_absurd_prints_come_from_the_shaken_venue_only(now_ns):
    walk = Walk(Random(15), LISTINGS, now_ns)
    walk.outliers = {Exchange.KRAKEN: (0.2, 10.0)}
    absurd = {
        listing.exchange
        for listing, fills in walk.due(now_ns + MINUTE_NS)
        for fill in fills
        if listing.asset == "btc" and float(fill.price) > 500_000
    }
    assert absurd == {Exchange.KRAKEN}
