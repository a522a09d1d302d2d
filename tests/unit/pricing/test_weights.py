"""Shares, caps and methods, against plain fractions."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.model.price import Method
from priceverse.pricing.weights import Admitted, capped, combine, dispersion_bps, median, shares, weighted_median

numbers = st.decimals("0.0001", "9999", places=4)
TINY = Fraction(1, 10**150)


def admitted(price: str, volume: str) -> Admitted:
    return Admitted(Decimal(price), Decimal(price) * Decimal(volume), Decimal(volume))


@given(st.lists(numbers, min_size=1, max_size=6), st.decimals("0.05", "1", places=2))
def test_shares_add_up_to_one_and_none_is_above_a_cap_that_all_can_keep(volumes, cap):
    found = shares([Admitted(Decimal(1), v, v) for v in volumes], Method.VWAP, cap)
    assert abs(sum(map(Fraction, found)) - 1) < TINY
    assert max(map(Fraction, found)) <= max(Fraction(cap), Fraction(1, len(found))) + TINY


@given(st.lists(numbers, min_size=2, max_size=6), st.decimals("0.05", "1", places=2))
def test_a_cap_keeps_the_order_and_the_proportions_of_those_below_it(volumes, cap):
    before = shares([Admitted(Decimal(1), v, v) for v in volumes], Method.VWAP, Decimal(1))
    after = capped(before, cap)
    below = [i for i, share in enumerate(after) if share < cap and cap * len(volumes) > 1]
    for i, j in pairwise(below):
        assert abs(Fraction(after[i]) * Fraction(before[j]) - Fraction(after[j]) * Fraction(before[i])) < TINY


def test_a_cap_too_low_for_all_makes_shares_equal():
    assert capped([Decimal("0.9"), Decimal("0.1")], Decimal("0.4")) == [Decimal("0.5")] * 2


def test_what_a_cap_cuts_off_may_push_others_to_it():
    assert capped([Decimal("0.6"), Decimal("0.3"), Decimal("0.1")], Decimal("0.4")) == [
        Decimal("0.4"),
        Decimal("0.4"),
        Decimal("0.2"),
    ]


@pytest.mark.parametrize(("method", "price"), [(Method.VWAP, "102.5"), (Method.MEAN, "105"), (Method.MEDIAN, "100")])
def test_methods(method, price):
    venues = [admitted("100", "3"), admitted("110", "1")]
    assert combine(venues, shares(venues, method, Decimal(1)), method, plain=False) == Decimal(price)


def test_the_weighted_median_between_two_halves_is_their_middle():
    assert weighted_median([Decimal(110), Decimal(100)], [Decimal("0.5"), Decimal("0.5")]) == 105
    assert weighted_median([Decimal(110), Decimal(100)], [Decimal("0.6"), Decimal("0.4")]) == 110


@pytest.mark.parametrize(("prices", "middle"), [([3], 3), ([1, 3], 2), ([9, 1, 2], 2), ([1, 2, 4, 9], 3)])
def test_the_plain_median(prices, middle):
    assert median([Decimal(price) for price in prices]) == middle


def test_dispersion_is_the_weighted_standard_deviation_in_basis_points():
    venues = [admitted("99", "1"), admitted("101", "1")]
    assert dispersion_bps(venues, [Decimal("0.5")] * 2, Decimal(100)) == 100
    assert dispersion_bps(venues[:1], [Decimal(1)], Decimal(99)) == 0
