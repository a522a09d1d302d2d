"""What a pricer refuses, what it skips, and how it crosses long silences."""

from decimal import Decimal

import pytest

from priceverse.pricing.entry import Entry
from priceverse.pricing.pricer import PairPricer
from priceverse.pricing.schedule import SKEW_MS
from tests.fakes.market import GRID, MARKETS

START = 1_767_225_600_000
ENTRY = Entry((START, 0), "kraken", "1", Decimal(100), Decimal(1), START, START)


@pytest.fixture
def pricer() -> PairPricer:
    return PairPricer(MARKETS["btc-usd"], GRID, GRID.position_at(START))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (ENTRY._replace(timestamp_ms=START - GRID.candle_lateness_ms - GRID.interval_ms), "late"),
        (ENTRY._replace(timestamp_ms=START + 1 + SKEW_MS), "ahead"),
        (ENTRY._replace(exchange="bybit"), "unknown_venue"),
        (ENTRY, "duplicate"),
    ],
)
def test_what_cannot_count_is_refused_with_a_reason(pricer, entry, reason):
    pricer.feed(ENTRY)
    pricer.feed(entry._replace(id=(START + 1, 0)))
    assert pricer.refused == {reason: 1}


def test_the_same_id_at_another_venue_is_another_trade(pricer):
    pricer.feed(ENTRY)
    pricer.feed(ENTRY._replace(id=(START, 1), exchange="okx"))
    assert not pricer.refused


def test_an_entry_that_was_taken_before_is_skipped(pricer):
    for entry_id in ((START, 0), (START, 1), (START, 0), (START, 1)):
        pricer.feed(ENTRY._replace(id=entry_id, trade_id=str(entry_id)))
    pricer.verdict(START + 1, None)
    assert pricer.window_trades == 2
    assert not pricer.refused


def test_after_a_long_silence_only_the_last_empty_instant_is_closed(pricer):
    pricer.feed(ENTRY)
    pricer.reach(START + 366 * 86_400_000)
    assert len(pricer.closed) < 10
    last = pricer.closed[-1]
    assert last.levels == {}
    assert GRID.closes_ms(last.instant_ms + GRID.interval_ms) > START + 366 * 86_400_000


def test_reading_the_past_again_does_not_keep_it(pricer):
    """An hour of stream is read at once while nobody asks for live prices: the tape holds no more than a window."""
    for second in range(600):
        at_ms = START + second * 1000
        pricer.feed(ENTRY._replace(id=(at_ms, 0), timestamp_ms=at_ms, trade_id=str(second)))
    assert len(pricer._tape) <= (GRID.window_ms + GRID.interval_ms + GRID.lateness_ms) / 1000 + 1


def test_a_clock_behind_the_streams_does_not_spoil_the_sums(pricer):
    """Live prices are asked for by a clock a minute behind Redis: the window stays consistent with the tape."""
    for second in range(120):
        at_ms = START + second * 1000
        pricer.feed(ENTRY._replace(id=(at_ms, 0), timestamp_ms=at_ms, trade_id=str(second)))
        pricer.verdict(at_ms - 60_000, None)
    end = START + 119_000
    found = pricer.verdict(end, None)
    assert (found.index.volume, found.index.price) == (31, 100)
