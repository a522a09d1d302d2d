"""Which ids have been had: every id once, every hole known, whatever the order and the rows' sizes."""

from hypothesis import given
from hypothesis import strategies as st

from priceverse.collector.coverage import MOST_PASSED_OVER, RESTARTED_MS, Coverage, Hole, Span
from tests.fakes.exchange import trade

NOW_MS = 1_790_000_000_000


def had(*ids: int, at_ms: int = NOW_MS) -> Coverage:
    """A coverage that has had these, in this order."""
    coverage = Coverage()
    for number in ids:
        coverage.take(trade("BTC", str(number), at_ms), NOW_MS)
    return coverage


def spans(coverage: Coverage) -> list[Span]:
    return sorted(hole.span for hole in coverage.holes)


def test_an_id_passed_over_is_a_hole_until_it_comes() -> None:
    coverage = had(5, 6, 10)
    assert spans(coverage) == [(7, 9)]
    coverage.take(trade("BTC", "8", NOW_MS), NOW_MS)
    assert spans(coverage) == [(7, 7), (9, 9)]
    assert not coverage.has_room(trade("BTC", "8"))
    for number in ("9", "7"):
        assert coverage.has_room(trade("BTC", number))
        coverage.take(trade("BTC", number, NOW_MS), NOW_MS)
    assert spans(coverage) == []
    assert coverage.found == 1


def test_a_hole_tells_the_time_in_which_it_happened() -> None:
    coverage = Coverage()
    for number, at_ms in ((1, 100), (9, 900), (5, 500)):
        coverage.take(trade("BTC", str(number), at_ms), 1000)
    assert [(hole.since_ms, hole.until_ms) for hole in coverage.holes] == [(100, 500), (500, 900)]


def test_before_the_first_trade_nothing_is_missing() -> None:
    assert spans(had(1_000_000)) == []


def test_a_row_of_several_ids_fits_only_as_a_whole() -> None:
    coverage = had(10)
    coverage.take(trade("BTC", "20", NOW_MS), NOW_MS)
    coverage.take(trade("BTC", "12", NOW_MS), NOW_MS)
    assert coverage.has_room(trade("BTC", "16", count=4))
    assert not coverage.has_room(trade("BTC", "16", count=5))
    assert not coverage.has_room(trade("BTC", "22", count=3))
    coverage.take(trade("BTC", "16", NOW_MS, count=4), NOW_MS)
    assert spans(coverage) == [(11, 11), (17, 19)]


def test_what_the_venue_names_exists() -> None:
    coverage = had(10)
    coverage.exists(12, NOW_MS, NOW_MS)
    coverage.exists(11, NOW_MS, NOW_MS)
    assert spans(coverage) == [(11, 12)]
    assert coverage.has_room(trade("BTC", "12"))
    fresh = Coverage()
    fresh.exists(12, NOW_MS, NOW_MS)
    assert fresh.top is None


def test_asked_in_vain_and_given_up() -> None:
    coverage = had(1, 3, 5, 100)
    coverage.asked(Span(2, 4))
    assert [(hole.span.first, hole.asked) for hole in coverage.holes] == [(2, 1), (4, 1), (6, 0)]
    coverage.give_up(coverage.holes[0])
    assert spans(coverage) == [(4, 4), (6, 99)]
    assert not coverage.has_room(trade("BTC", "2"))


def test_a_venue_that_counts_anew_is_believed_after_a_while() -> None:
    coverage = had(1000)
    assert not coverage.has_room(trade("BTC", "7", NOW_MS + RESTARTED_MS))
    assert not coverage.has_room(trade("BTC", "7", NOW_MS + RESTARTED_MS + 1, historical=True))
    again = trade("BTC", "7", NOW_MS + RESTARTED_MS + 1)
    assert coverage.has_room(again)
    coverage.take(again, NOW_MS)
    coverage.take(trade("BTC", "9", NOW_MS + RESTARTED_MS + 1), NOW_MS)
    assert (coverage.top, spans(coverage)) == (9, [(8, 8)])


def test_the_very_next_is_told_cheaply() -> None:
    coverage = had(5)
    row = trade("BTC", "8", NOW_MS + 1, count=3)
    assert coverage.continues(row)
    coverage.advance(row)
    assert (coverage.top, coverage.top_ms, spans(coverage)) == (8, NOW_MS + 1, [])
    assert not any(coverage.continues(trade("BTC", number)) for number in ("8", "10", "x"))


def test_an_absurd_id_is_not_believed() -> None:
    coverage = had(1000)
    far = 1000 + MOST_PASSED_OVER + 1
    assert coverage.is_leap(far, NOW_MS)
    assert not coverage.is_leap(far, NOW_MS + RESTARTED_MS + 1)
    coverage.exists(far, NOW_MS, NOW_MS)
    assert coverage.top == 1000


def test_what_was_had_may_get_lost_again() -> None:
    coverage = had(*range(1, 11))
    for number in (3, 4, 5, 8):
        coverage.lose(trade("BTC", str(number), NOW_MS + number), NOW_MS)
    assert spans(coverage) == [(3, 5), (8, 8)]
    assert coverage.has_room(trade("BTC", "4"))


def test_it_begins_where_it_was() -> None:
    coverage = Coverage()
    for number in (5, 7, 6):
        coverage.recall(number, NOW_MS)
    assert (coverage.top, coverage.is_begun, spans(coverage)) == (7, True, [])


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 4)), max_size=60))
def test_as_a_set_of_ids_would_have_it(rows: list[tuple[int, int]]) -> None:
    coverage, ids, floor = Coverage(), set[int](), None
    for last, count in rows:
        row = trade("BTC", str(last), NOW_MS, count=count)
        first = last - count + 1
        floor = first if floor is None else floor
        fits = (
            first >= floor and not ids & set(range(first, last + 1)) and not first <= max(ids, default=first - 1) < last
        )
        assert coverage.has_room(row) == fits
        if fits:
            coverage.take(row, NOW_MS)
            ids |= set(range(first, last + 1))
        assert coverage.top == max(ids)
        missing = {number for hole in coverage.holes for number in range(hole.span.first, hole.span.last + 1)}
        assert missing == set(range(floor, max(ids) + 1)) - ids


def test_rows_lost_one_after_the_other_are_one_hole_whatever_else_is_missing() -> None:
    coverage = had(1, 3, 5, *range(6, 100))
    for number in (40, 41, 60, 42, 61, 6):
        coverage.lose(trade("BTC", str(number), NOW_MS + number), NOW_MS)
    assert spans(coverage) == [(2, 2), (4, 4), (6, 6), (40, 42), (60, 61)]
    assert {(hole.since_ms - NOW_MS, hole.until_ms - NOW_MS) for hole in coverage.holes[-3:]} == {
        (40, 42),
        (60, 61),
        (6, 6),
    }
    assert coverage.found == 5


def test_it_begins_with_what_was_missing_before() -> None:
    coverage = Coverage()
    for number in (3, 8, 20):
        coverage.recall(number, NOW_MS)
    holes = [Hole(Span(4, 9), 100, 900, NOW_MS), Hole(Span(15, 19), 1000, 1100, NOW_MS), Hole(Span(21, 30), 1, 2, 3)]
    coverage.reopen(holes, [(20, 2000), (8, 800), (15, 1010), (3, 90)])
    assert [(*hole.span, hole.since_ms, hole.until_ms) for hole in coverage.holes] == [
        (4, 7, 100, 800),
        (9, 9, 800, 900),
        (16, 19, 1010, 1100),
    ]
    assert not coverage.has_room(trade("BTC", "8"))
    assert coverage.has_room(trade("BTC", "9"))
    assert coverage.opened == 1
