"""Who counts in an index, why others do not, and that the rest is Σpv/Σv to the last digit."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.model.decimals import PLACES
from priceverse.model.exchange import Quote
from priceverse.model.price import Excluded, Method
from priceverse.pricing.index import Rules, judge
from priceverse.pricing.venue import Venue

NOW = 1_000_000
QUOTES = {
    "binance": Quote.USDT,
    "bybit": Quote.USDT,
    "coinbase": Quote.USD,
    "kraken": Quote.USD,
    "kucoin": Quote.USDT,
    "okx": Quote.USDT,
}
PLAIN = Rules()
PEG = Decimal("0.9995")


def at(exchange: str, price: str, volume: str = "1", *, age_ms: int = 0) -> Venue:
    return Venue(exchange, Decimal(price) * Decimal(volume), Decimal(volume), 1, NOW - age_ms)


def judged(
    *venues: Venue, conversion: Decimal | None = PEG, rules: Rules = PLAIN, outliers: frozenset[str] = frozenset()
):
    return judge(venues, QUOTES, conversion, rules, at_ms=NOW, outliers=outliers)


def excluded(verdict) -> dict[str, Excluded]:
    return {source.exchange: source.excluded for source in verdict.details if source.excluded}


@given(
    st.dictionaries(
        st.sampled_from(sorted(QUOTES)),
        st.tuples(st.decimals("99", "100.9", places=8), st.decimals("0.00000001", "9999", places=8)),
        min_size=1,
    ),
    st.decimals("0.99", "1.01", places=20),
)
def test_with_no_filter_active_the_index_is_the_volume_weighted_average_exactly(venues, conversion):
    found = judged(*(at(e, str(p), f"{v:f}") for e, (p, v) in venues.items() if v), conversion=conversion).index
    factor = {Quote.USD: Fraction(1), Quote.USDT: Fraction(conversion)}
    if all(QUOTES[exchange] is Quote.USDT for exchange in venues):
        assert not found.degraded
    value = sum(Fraction(p) * Fraction(v) * factor[QUOTES[e]] for e, (p, v) in venues.items())
    exact = value / sum(Fraction(v) for _, v in venues.values())
    assert abs(Fraction(found.price) - exact) < Fraction(1, 10**180)
    assert found.sources == tuple(sorted(venues))


def test_usdt_venues_are_converted_and_say_so():
    verdict = judged(at("binance", "100000"), at("kraken", "99950"))
    assert verdict.index.price == 99950
    assert [(s.exchange, s.conversion, s.price) for s in verdict.details] == [
        ("binance", PEG, Decimal(99950)),
        ("kraken", Decimal(1), Decimal(99950)),
    ]


def test_without_a_conversion_usdt_venues_are_out_and_never_taken_at_one():
    verdict = judged(at("binance", "100"), at("kraken", "99"), conversion=None)
    assert excluded(verdict) == {"binance": Excluded.NO_CONVERSION}
    assert (verdict.index.price, verdict.index.sources, verdict.index.degraded) == (99, ("kraken",), False)


def test_usdt_venues_alone_without_a_conversion_give_a_degraded_price():
    verdict = judged(at("binance", "100"), at("okx", "102"), conversion=None)
    assert (verdict.index.price, verdict.index.degraded, excluded(verdict)) == (101, True, {})
    assert [source.conversion for source in verdict.details] == [None, None]


def test_a_stale_dollar_venue_does_not_keep_usdt_venues_out():
    rules = Rules(max_source_age_ms=10_000)
    verdict = judged(at("kraken", "99", age_ms=10_001), at("okx", "100"), conversion=None, rules=rules)
    assert excluded(verdict) == {"kraken": Excluded.STALE}
    assert verdict.index.degraded


def test_a_venue_is_stale_only_beyond_the_age():
    rules = Rules(max_source_age_ms=10_000)
    assert judged(at("kraken", "99", age_ms=10_000), rules=rules).index.as_of_ms == NOW - 10_000
    assert judged(at("kraken", "99", age_ms=10_001), rules=rules).index is None


@pytest.mark.parametrize("factor", ["0.5", "1.5"])
def test_one_of_six_printing_half_off_does_not_move_the_index(factor):
    sane = [at(exchange, "100" if QUOTES[exchange] is Quote.USD else "100.05002501") for exchange in QUOTES]
    wrong = at("okx", str(Decimal(100) * Decimal(factor)), "1000000")
    verdict = judged(*(venue for venue in sane if venue.exchange != "okx"), wrong)
    assert excluded(verdict) == {"okx": Excluded.OUTLIER}
    assert abs(verdict.index.price - 100) < Decimal("0.0001")


def test_an_outlier_comes_back_only_below_half_of_the_deviation():
    others = (at("kraken", "100"), at("coinbase", "100"))
    state: frozenset[str] = frozenset()
    seen = []
    for price in ("104", "105", "106", "104", "102.5", "102.4", "104"):
        verdict = judged(*others, at("okx", price), conversion=Decimal(1), outliers=state)
        state = verdict.outliers
        seen.append("okx" in excluded(verdict))
    assert seen == [False, False, True, True, True, False, False]


def test_an_outlier_that_falls_silent_is_still_one_when_it_returns():
    state = judged(at("kraken", "100"), at("coinbase", "100"), outliers=frozenset({"okx"})).outliers
    verdict = judged(
        at("kraken", "100"), at("coinbase", "100"), at("okx", "104"), conversion=Decimal(1), outliers=state
    )
    assert excluded(verdict) == {"okx": Excluded.OUTLIER}


def test_two_venues_that_contradict_each_other_give_no_price():
    verdict = judged(at("kraken", "100"), at("kucoin", "150"), conversion=Decimal(1))
    assert verdict.index is None
    assert set(excluded(verdict).values()) == {Excluded.OUTLIER}
    assert {source.weight for source in verdict.details} == {Decimal(0)}


def test_too_few_sources_give_no_price():
    assert judged(at("kraken", "100"), rules=Rules(min_sources=2)).index is None
    assert judged().index is None


def test_a_capped_venue_gives_its_weight_to_the_others():
    rules = Rules(max_weight=Decimal("0.5"))
    verdict = judged(at("kraken", "100", "8"), at("coinbase", "102", "2"), rules=rules)
    assert verdict.index.price == 101
    assert [source.weight for source in verdict.details] == [Decimal("0.5"), Decimal("0.5")]
    assert verdict.index.volume == 10


@pytest.mark.parametrize(("method", "price"), [(Method.VWAP, "101"), (Method.MEAN, "102"), (Method.MEDIAN, "100")])
def test_the_method_is_the_pairs_own(method, price):
    assert judged(at("kraken", "100", "3"), at("coinbase", "104"), rules=Rules(method=method)).index.price == Decimal(
        price
    )


def test_confidence_is_the_dispersion_of_the_admitted():
    assert judged(at("kraken", "99"), at("coinbase", "101")).index.confidence_bps == 100
    assert judged(at("kraken", "99")).index.confidence_bps == 0


def test_details_are_rounded_to_places_and_the_index_is_not():
    verdict = judged(at("kraken", "100", "2"), at("coinbase", "101", "1"))
    assert verdict.details[0].weight.as_tuple().exponent == PLACES.as_tuple().exponent
    assert len(str(verdict.index.price)) > 150
