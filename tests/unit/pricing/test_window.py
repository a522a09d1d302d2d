"""The window against a naive sum over a list, and its cost against its length."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.pricing.entry import Entry
from priceverse.pricing.window import Tape, Tick, Window

VENUES = ("binance", "kraken", "okx")
numbers = st.decimals("0.00000001", "99999999", places=8).filter(lambda n: n > 0)
trades = st.builds(
    lambda venue, price, volume, ms: Entry((0, 0), venue, "", price, volume, ms, 0),
    st.sampled_from(VENUES),
    numbers,
    numbers,
    st.integers(0, 60),
)


def a_tick(ms: int, volume: str = "1") -> Tick:
    return Tick.of(Entry((0, 0), "kraken", str(ms), Decimal("1.1"), Decimal(volume), ms, 0))


def sums(window: Window) -> dict[str, tuple[Fraction, Fraction, int, int]]:
    return {
        exchange: (
            sum((Fraction(level.value) for level in levels), Fraction(0)),
            sum((Fraction(level.volume) for level in levels), Fraction(0)),
            sum(level.trades for level in levels),
            max(level.last_ms for level in levels),
        )
        for exchange, levels in window.levels().items()
    }


def naive(seen: list[Entry], start_ms: int, end_ms: int) -> dict[str, tuple[Fraction, Fraction, int, int]]:
    inside = [entry for entry in seen if start_ms <= entry.timestamp_ms < end_ms]
    found = {}
    for exchange in {entry.exchange for entry in inside}:
        mine = [entry for entry in inside if entry.exchange == exchange]
        found[exchange] = (
            sum((Fraction(t.price) * Fraction(t.volume) for t in mine), Fraction(0)),
            sum((Fraction(t.volume) for t in mine), Fraction(0)),
            len(mine),
            max(t.timestamp_ms for t in mine),
        )
    return found


@given(st.lists(st.one_of(trades, st.tuples(st.integers(0, 60), st.integers(0, 40))), max_size=60))
def test_sums_are_exact_after_any_arrivals_and_moves(steps):
    """Trades in any order, edges moving either way: summed is what lies between the edges, to the last digit."""
    tape = Tape(0)
    window = Window(tape, 0)
    seen: list[Entry] = []
    for number, step in enumerate(steps):
        if isinstance(step, Entry):
            tick = Tick.of(step._replace(trade_id=str(number)))
            tape.add(tick)
            window.late(tick)
            seen.append(step)
        else:
            window.slide(step[0], step[0] + step[1])
        expected = naive(seen, window.start_ms, window.end_ms)
        assert sums(window) == expected
        assert window.trades == sum(count for *_, count, _ in expected.values())


def test_the_window_is_half_open():
    tape = Tape(0)
    for ms in (9, 10, 19, 20):
        tape.add(a_tick(ms))
    window = Window(tape, 0)
    window.slide(10, 20)
    assert [level.trades for level in window.levels()["kraken"]] == [2]


def test_an_empty_window_sums_to_nothing_whatever_was_in_it():
    tape = Tape(0)
    window = Window(tape, 0)
    tape.add(a_tick(5, volume="1E-8"))
    window.slide(0, 10)
    window.slide(10, 20)
    assert window.levels() == {}
    assert window.trades == 0


def test_the_room_of_a_forgotten_trade_is_free():
    tape = Tape(0)
    for ms in range(100):
        tape.add(a_tick(ms))
    tape.forget(90)
    assert len(tape) == 10
    assert tape.floor_ms == 90


class CountingTape(Tape):
    """Counts how often a window looks at a tick."""

    looks = 0

    def between(self, start_ms, end_ms):
        for tick in super().between(start_ms, end_ms):
            self.looks += 1
            yield tick


@pytest.mark.parametrize("length_ms", [3_000, 30_000, 300_000])
def test_a_trade_costs_the_same_in_a_window_of_any_length(length_ms):
    """Each tick is looked at once to enter and once to leave."""
    tape = CountingTape(0)
    window = Window(tape, 0)
    total = 2 * length_ms // 10
    for number in range(total):
        tape.add(a_tick(number * 10))
        window.slide(number * 10 - length_ms, number * 10 + 1)
        tape.forget(window.start_ms)
    assert tape.looks <= 2 * total
    assert len(tape) <= length_ms // 10 + 1
