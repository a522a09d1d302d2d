"""What silence means: of the connection, of a pair, of an old age."""

from itertools import pairwise

import pytest

from priceverse.collector.vigil import HEALTHY_S, SILENT_LEAST_S, Finding, Pulse, Vigil


def test_mute_is_no_byte_at_all_since_opening_or_since_the_last_one() -> None:
    vigil = Vigil(opened_s=100.0, mute_timeout_s=30.0, lifetime_s=None)
    assert vigil.judge(129.9, last_received_s=0.0) is Finding.FINE
    assert vigil.judge(130.0, last_received_s=0.0) is Finding.MUTE
    assert vigil.judge(130.0, last_received_s=101.0) is Finding.FINE
    assert vigil.judge(131.0, last_received_s=101.0) is Finding.MUTE


@pytest.mark.parametrize(("lifetime_s", "renewed_s"), [(86_400.0, 85_800.0), (1000.0, 950.0)])
def test_a_connection_is_renewed_before_the_venue_cuts_it(lifetime_s: float, renewed_s: float) -> None:
    vigil = Vigil(opened_s=0.0, mute_timeout_s=30.0, lifetime_s=lifetime_s)
    assert vigil.judge(renewed_s - 1, renewed_s - 1) is Finding.FINE
    assert vigil.judge(renewed_s, renewed_s) is Finding.AGED
    assert vigil.judge(renewed_s + 30, renewed_s) is Finding.MUTE


def test_healthy_is_thirty_seconds_of_valid_data_not_of_being_open() -> None:
    vigil = Vigil(opened_s=0.0, mute_timeout_s=30.0, lifetime_s=None)
    assert not vigil.was_healthy
    assert vigil.valid(100.0)
    assert not vigil.valid(100.0 + HEALTHY_S - 0.1)
    assert not vigil.was_healthy
    vigil.valid(100.0 + HEALTHY_S)
    assert vigil.was_healthy


def test_a_pair_is_silent_by_its_own_measure() -> None:
    pulse = Pulse()
    for at_s in range(0, 2000, 20):
        pulse.beat("XMR", float(at_s))  # every 20 s: a thousand seconds are nothing
    for at_s in range(1990):
        pulse.beat("BTC", float(at_s))
    assert pulse.silent(1990 + SILENT_LEAST_S - 1) == []
    assert pulse.silent(1990 + SILENT_LEAST_S) == ["BTC"]
    assert pulse.silent(1990 + SILENT_LEAST_S + 1) == []  # said once
    assert "XMR" in pulse.silent(1980 + 1001.0)


def test_a_pair_that_trades_every_ten_minutes_is_soon_left_in_peace() -> None:
    """Not a new connection each five minutes, as long as it lives: XMR is such a pair on some nights."""
    pulse, found = Pulse(), 0
    for at_s in range(86_400):
        if at_s % 600 == 0:
            pulse.beat("XMR", float(at_s))
        if pulse.silent(float(at_s)):
            found += 1
            pulse.begin(float(at_s))
    assert found <= 1


def test_a_busy_pair_that_died_is_named_again_and_again_but_ever_more_seldom() -> None:
    pulse = Pulse()
    for at_s in range(1000):
        pulse.beat("BTC", float(at_s))
    named_s = [at_s for at_s in range(1000, 40_000) if pulse.silent(float(at_s))]
    waits_s = [later - earlier for earlier, later in pairwise(named_s)]
    assert len(named_s) >= 4
    assert waits_s == sorted(waits_s)


def test_no_silence_is_older_than_the_connection() -> None:
    pulse = Pulse()
    for at_s in range(100):
        pulse.beat("BTC", float(at_s))
    pulse.begin(10_000.0)
    assert pulse.silent(10_000.0 + SILENT_LEAST_S - 1) == []
    assert pulse.silent(10_000.0 + SILENT_LEAST_S + 1) == ["BTC"]


def test_a_pair_that_never_traded_is_not_silent() -> None:
    assert Pulse().silent(1e9) == []
