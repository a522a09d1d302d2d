"""What a successor is told to be missing: never less than is, and nothing once it is filled or recorded as lost."""

import pytest

from priceverse.bus.marks import Place, Words
from priceverse.collector.admission import Admission
from priceverse.collector.marks import MOST_HOLES, Marks, missing_of
from priceverse.exchanges.protocol import Mark
from tests.fakes.archive import Archivist
from tests.fakes.exchange import trade

NOW_MS = 1_790_000_000_000
KEY = "backfill:kraken:btc-usd"


class Desk:
    """The marks of a venue whose trades a test brings."""

    def __init__(self, *, is_numbered: bool = True) -> None:
        self.admission = Admission(is_numbered=is_numbered)
        self.unrecorded: set[str] = set()
        self.marks = Marks(Archivist({"BTC": "btc-usd"}), self.admission, lambda: self.unrecorded)
        self.book = self.admission.book("BTC")

    def come(self, *ids: int) -> None:
        for number in ids:
            self.admission.judge(trade("BTC", str(number), NOW_MS + number), NOW_MS)

    def opened(self, *, is_all: bool = True) -> list[tuple[int, int]] | None:
        return spans(self.marks.opened(is_all=is_all))

    def settled(self) -> list[tuple[int, int]] | None:
        return spans(self.marks.settled())


def spans(words: Words) -> list[tuple[int, int]] | None:
    """Return the ids named, nothing if the mark goes, None if there is nothing to write."""
    if not words:
        return None
    place = words[KEY]
    return [] if place is None else [(first, last) for first, last, *_ in place.lacks]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_whole_streams_cost_no_word(desk: Desk) -> None:
    desk.come(1, 2, 3)
    assert (desk.opened(), desk.settled()) == (None, None)


def test_a_hole_is_told_once_and_taken_off_when_filled(desk: Desk) -> None:
    desk.come(1, 5)
    assert (desk.opened(), desk.opened(), desk.settled()) == ([(2, 4)], None, None)
    desk.come(3)
    assert (desk.opened(), desk.settled()) == (None, [(2, 2), (4, 4)])
    desk.come(2, 4)
    assert (desk.opened(), desk.settled(), desk.settled()) == (None, [], None)


def test_it_only_grows_while_trades_wait(desk: Desk) -> None:
    desk.come(1, 5)
    desk.opened()
    desk.come(2, 3, 4, 9)
    assert desk.opened() == [(2, 4), (6, 8)]
    assert desk.settled() == [(6, 8)]


def test_a_hole_closed_by_what_still_waits_is_told(desk: Desk) -> None:
    desk.come(1, 3, 2)
    assert desk.opened(is_all=False) == [(2, 2)]
    assert desk.settled() == []
    desk.come(5, 4)
    assert (desk.opened(), desk.settled()) == (None, None)


def test_what_is_given_up_stays_until_it_is_recorded(desk: Desk) -> None:
    desk.come(1, 3)
    desk.opened()
    desk.unrecorded.add("btc-usd")
    assert desk.book.coverage is not None
    desk.book.coverage.give_up(desk.book.coverage.holes[0])
    assert desk.settled() is None
    desk.unrecorded.clear()
    assert desk.settled() == []


def test_its_size_is_bounded_and_the_rest_has_its_time(desk: Desk) -> None:
    desk.come(*range(1, 2 * MOST_HOLES + 9, 2))
    place = desk.marks.opened(is_all=True)[KEY]
    assert place is not None
    assert (place.trade_id, place.timestamp_ms) == ("1", NOW_MS + 1)
    assert len(place.lacks) == MOST_HOLES
    assert place.rest == (NOW_MS + 2 * MOST_HOLES + 1, NOW_MS + 2 * MOST_HOLES + 7)


def test_what_a_predecessor_wrote_is_kept_until_it_is_had(desk: Desk) -> None:
    place = Place("1", NOW_MS, NOW_MS, ((2, 4, NOW_MS, NOW_MS + 5),))
    desk.book.recall(Mark("5", NOW_MS + 5))
    assert desk.book.coverage is not None
    desk.book.coverage.reopen(missing_of(place, NOW_MS).holes, [(5, NOW_MS + 5)])
    desk.marks.recalled("BTC", place)
    desk.come(8)
    assert desk.opened() == [(2, 4), (6, 7)]
    desk.come(2, 3, 4, 6, 7)
    assert desk.settled() == []


def test_where_ids_tell_nothing_a_new_connection_is_a_doubt() -> None:
    desk = Desk(is_numbered=False)
    desk.come(1)
    assert desk.opened() is None
    desk.book.sound = Mark("1", NOW_MS + 1)
    desk.admission.doubt()
    desk.come(7)
    place = desk.marks.opened(is_all=True)[KEY]
    assert place is not None
    assert (place.trade_id, place.timestamp_ms, place.lacks) == ("1", NOW_MS + 1, ())
    assert desk.settled() is None
    desk.book.doubted = None
    assert desk.settled() == []
