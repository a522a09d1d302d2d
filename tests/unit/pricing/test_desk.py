"""History and candles are functions of the streams; live prices keep a pace; derived pairs follow their source."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest

from priceverse.model.candle import Candle, Interval, merged
from priceverse.model.pair import REFERENCE_PAIR
from priceverse.model.rate import Rate
from priceverse.pricing.convert import RateFault, Rates
from priceverse.pricing.desk import Desk, Settled
from priceverse.pricing.entry import Entry
from priceverse.pricing.render import Row
from priceverse.pricing.schedule import Pace, Position
from tests.fakes.market import GRID, Naive, feed, read, seat_at, streams, with_reference

START = 1_767_225_600_000
LENGTH = 240_000
END = START + LENGTH
BEGIN = GRID.position_at(START)
RATES = Rates((Rate(Decimal("78.5431"), date(2026, 1, 1), START),), max_age_days=4)
PAIRS = {"btc-usd": ("btc-rub",), "xmr-usd": (), REFERENCE_PAIR: ()}


def fresh_desk(positions: dict[str, Position] | None = None) -> Desk:
    positions = positions or dict.fromkeys(PAIRS, BEGIN)
    desk = Desk(Pace(), RATES)
    with_reference(desk, min(positions.values()))
    for pair, position in positions.items():
        seat_at(desk, pair, position, PAIRS[pair])
    return desk


def rows(settled: list[Settled]) -> dict[tuple[str, int], Row]:
    found = {}
    for done in settled:
        for row in done.rows:
            assert (row.pair, row.timestamp_ms) not in found
            found[row.pair, row.timestamp_ms] = row
    return found


def candles(settled: list[Settled]) -> dict[tuple[str, Interval, int], Candle]:
    return {candle.bucket: candle for candle in merged(candle for done in settled for candle in done.candles)}


def stored(settled: list[Settled]) -> tuple[object, object]:
    """What a database has in the end."""
    return rows(settled), candles(settled)


def uninterrupted(found) -> list[Settled]:
    return read(fresh_desk(), found, END)


@pytest.mark.parametrize("seed", range(8))
def test_rows_equal_a_naive_recomputation_over_the_whole_stream(seed):
    found = streams(seed, start_ms=START, length_ms=LENGTH)
    naive = Naive(found)
    computed = rows(uninterrupted(found))
    for pair in PAIRS:
        for instant_ms in range(GRID.first_after(START), GRID.first_after(END), GRID.interval_ms):
            row = computed.get((pair, instant_ms))
            assert (row.price if row else None) == naive.price(pair, instant_ms), (pair, instant_ms - START)


@pytest.mark.parametrize("seed", range(8))
def test_candles_equal_a_naive_recomputation_over_the_whole_stream(seed):
    found = streams(seed, start_ms=START, length_ms=LENGTH)
    naive = Naive(found)
    computed = candles(uninterrupted(found))
    for pair in PAIRS:
        mine = {
            candle.start_ms: (*prices(candle), Fraction(candle.volume), Fraction(candle.quote_volume), candle.trades)
            for candle in computed.values()
            if candle.pair == pair
        }
        assert mine == naive.candles(pair, END)


@pytest.mark.parametrize("seed", range(50))
def test_everything_is_the_same_for_any_split_into_batches(seed):
    found = streams(seed, start_ms=START, length_ms=LENGTH)
    random = Random(seed)
    desk, settled, at_ms = fresh_desk(), [], START
    while at_ms < END:
        at_ms = min(END, at_ms + random.choice((1, 50, 700, 9_000, 31_000)))
        settled += read(desk, found, at_ms, most=random.choice((None, 1, 7, 100)))
        if random.random() < 0.3:
            desk.due(at_ms + random.randrange(-5_000, 5_000))  # live prices, by a clock that is not Redis's
    settled += read(desk, found, END)
    assert stored(settled) == stored(uninterrupted(found))


@pytest.mark.parametrize("seed", range(50, 100))
def test_everything_is_the_same_for_any_kill_and_restart(seed):
    """A new process knows only each pair's committed position, and reads the streams from where that matters."""
    found = streams(seed, start_ms=START, length_ms=LENGTH)
    random = Random(seed)
    committed: list[Settled] = []
    positions = dict.fromkeys(PAIRS, BEGIN)
    at_ms = START
    while at_ms < END:
        desk = fresh_desk(positions)
        lost: set[str] = set()  # what a pair has settled after its last commit dies with the process
        for _ in range(random.randrange(1, 6)):
            at_ms = min(END, at_ms + random.randrange(1, 25_000))
            for done in read(desk, found, at_ms):
                if done.pair in lost or random.random() < 0.2:
                    lost.add(done.pair)
                else:
                    committed.append(done)
                    positions[done.pair] = done.until
    committed += read(fresh_desk(positions), found, END)
    assert stored(committed) == stored(uninterrupted(found))


@pytest.mark.parametrize("seed", range(20))
def test_everything_is_the_same_for_any_order_of_arrival_before_rows_close(seed):
    """Trades of the same millisecond too: their open and close go by venue and trade id."""
    found = streams(seed, start_ms=START, length_ms=LENGTH)
    random = Random(seed)
    prompt = {
        pair: [entry._replace(timestamp_ms=entry.id[0] // 500 * 500) for entry in once(entries)]
        for pair, entries in found.items()
    }
    shuffled = {}
    for pair, entries in prompt.items():
        mixed = sorted(entries, key=lambda entry: (entry.id[0] // 1000, random.random()))
        ids = [(entry.id[0] // 1000 * 1000 + 999, number) for number, entry in enumerate(mixed)]
        shuffled[pair] = [entry._replace(id=new) for entry, new in zip(mixed, ids, strict=True)]
    assert stored(uninterrupted(shuffled)) == stored(uninterrupted(prompt))


def once(entries: list[Entry]) -> list[Entry]:
    return sorted({(entry.exchange, entry.trade_id): entry for entry in reversed(entries)}.values())


def prices(candle: Candle) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    return candle.open, candle.high, candle.low, candle.close


def test_a_process_that_starts_reads_no_further_back_than_it_says():
    found = streams(3, start_ms=START, length_ms=LENGTH)
    position = GRID.position_at(GRID.closes_ms(START + 150_000))
    enough = {
        pair: [entry for entry in entries if entry.id[0] >= GRID.needed_from_ms(position)]
        for pair, entries in found.items()
    }
    enough[REFERENCE_PAIR] = found[REFERENCE_PAIR]
    full = [done for done in uninterrupted(found) if done.until > position]
    assert stored(read(fresh_desk(dict.fromkeys(PAIRS, position)), enough, END)) == stored(full)


def test_a_row_waits_for_the_conversion_of_its_instant():
    found = streams(1, start_ms=START, length_ms=60_000)
    desk = fresh_desk({"btc-usd": BEGIN})
    pricer = desk.seats["btc-usd"].pricer
    feed(pricer, found["btc-usd"])
    pricer.reach(END)
    assert desk.settle() == []
    desk.reference.pricer.reach(GRID.closes_ms(START + 20_000))
    assert [done.instant_ms - START for done in desk.settle()] == [0, 10_000, 20_000]


def test_derived_rows_are_the_exact_price_times_the_rate_and_name_the_bank():
    found = rows(uninterrupted(streams(2, start_ms=START, length_ms=LENGTH)))
    dollars = {at: row for (pair, at), row in found.items() if pair == "btc-usd"}
    roubles = {at: row for (pair, at), row in found.items() if pair == "btc-rub"}
    assert dollars.keys() == roubles.keys()
    for at, row in roubles.items():
        assert abs(row.price - dollars[at].price * RATES.known[0].usd_rub) < Decimal("1e-6")
        assert row.sources == tuple(sorted((*dollars[at].sources, "cbr")))
        assert (row.method, row.volume) == (dollars[at].method, dollars[at].volume)


@pytest.mark.parametrize(
    ("known", "fault"), [((), RateFault.MISSING), ((Rate(Decimal(80), date(2025, 12, 1), 0),), RateFault.STALE)]
)
def test_without_a_rate_there_are_no_derived_prices_and_the_source_goes_on(known, fault):
    desk = fresh_desk()
    desk.rates = Rates(known, max_age_days=4)
    settled = rows(read(desk, streams(2, start_ms=START, length_ms=LENGTH), END))
    assert {pair for pair, _ in settled} == {"btc-usd", "xmr-usd", REFERENCE_PAIR}
    published = [price.pair for due in desk.due(END) for price in due.prices]
    assert "btc-usd" in published
    assert "btc-rub" not in published
    assert desk.seats["btc-usd"].rate_fault is fault


def entry(at_ms: int, ms: int, price: str = "100", *, received_ms: int | None = None) -> Entry:
    """A trade of `ms` that reached the stream at `at_ms`."""
    received_ms = at_ms if received_ms is None else received_ms
    return Entry((at_ms, 0), "kraken", str(at_ms), Decimal(price), Decimal(1), ms, received_ms)


def a_desk_with_one_trade() -> Desk:
    desk = Desk(Pace(publish_ms=250, heartbeat_ms=1000), RATES)
    seat_at(desk, "btc-usd", BEGIN, ("btc-rub",))
    feed(desk.seats["btc-usd"].pricer, [entry(START + 5, START, received_ms=START + 3)])
    return desk


def test_a_new_price_goes_out_once_and_then_as_a_heartbeat_with_its_age():
    desk = a_desk_with_one_trade()
    (first,) = desk.due(START + 10)
    assert [price.pair for price in first.prices] == ["btc-usd", "btc-rub"]
    assert first.waiting_since_ms == START + 3
    assert desk.due(START + 1009) == []
    (again,) = desk.due(START + 1010)
    assert again.prices == first.prices
    assert again.waiting_since_ms is None


def test_new_trades_wait_for_the_pace():
    desk = a_desk_with_one_trade()
    (first,) = desk.due(START + 10)
    feed(desk.seats["btc-usd"].pricer, [entry(START + 20, START + 15, "102")])
    assert desk.due(START + 259) == []
    (second,) = desk.due(START + 260)
    assert (second.prices[0].price, second.prices[0].as_of_ms) == (101, START + 15)
    assert second.prices[0].sequence > first.prices[0].sequence


def test_new_trades_do_not_wait_for_a_price_that_was_only_repeated():
    desk = a_desk_with_one_trade()
    desk.due(START + 10)
    desk.due(START + 1010)
    feed(desk.seats["btc-usd"].pricer, [entry(START + 1020, START + 1015, "102")])
    assert desk.next_due_ms() == START + 260
    (second,) = desk.due(START + 1021)
    assert second.prices[0].as_of_ms == START + 1015


def test_new_trades_that_make_no_price_keep_the_pace_too():
    """They are of the window that was, and no more in that of now."""
    desk = a_desk_with_one_trade()
    desk.due(START + 10)
    feed(desk.seats["btc-usd"].pricer, [entry(START + 31_000, START + 1)])
    assert desk.due(START + 31_010)
    feed(desk.seats["btc-usd"].pricer, [entry(START + 31_020, START + 1_015)])
    assert desk.seats["btc-usd"].pricer.fresh
    assert desk.due(START + 31_259) == []
    assert desk.due(START + 31_260)


def test_an_empty_window_keeps_the_last_price_and_lets_it_age():
    desk = a_desk_with_one_trade()
    (first,) = desk.due(START + 10)
    (late,) = desk.due(START + 100_000)
    assert late.prices[0] == first.prices[0]


def test_a_trade_of_a_clock_ahead_counts_at_once_and_lies_in_the_window():
    desk = Desk(Pace(), RATES)
    seat_at(desk, "btc-usd", BEGIN)
    feed(desk.seats["btc-usd"].pricer, [entry(START, START + 4_000)])
    price = desk.due(START + 1)[0].prices[0]
    assert price.window_start_ms <= price.as_of_ms < price.window_end_ms


def test_prices_from_before_our_time_are_repeated_until_there_is_one_of_our_own():
    desk = a_desk_with_one_trade()
    (before,) = desk.due(START + 10)
    restored = tuple(replace(price, sequence=START + 10**6) for price in before.prices)
    fresh = Desk(Pace(), RATES)
    seat = seat_at(fresh, "btc-usd", BEGIN, ("btc-rub",))
    seat.restored = restored
    assert fresh.due(START + 2_000)[0].prices == restored
    feed(seat.pricer, [entry(START + 2_000, START + 2_000)])
    (own,) = fresh.due(START + 3_000)
    assert own.prices[0].sequence > START + 10**6
    assert own.prices[0].as_of_ms == START + 2_000


def test_a_rate_that_goes_stale_ends_the_repetition_of_derived_prices():
    desk = a_desk_with_one_trade()
    (before,) = desk.due(START + 10)
    fresh = Desk(Pace(), Rates())
    seat_at(fresh, "btc-usd", BEGIN, ("btc-rub",)).restored = before.prices
    assert [price.pair for price in fresh.due(START + 20)[0].prices] == ["btc-usd"]


def test_a_desk_without_a_reference_settles_pairs_that_need_none():
    desk = a_desk_with_one_trade()
    desk.seats["btc-usd"].pricer.reach(START + 12_000)
    assert [[row.price for row in done.rows] for done in desk.settle()] == [[], [100, Decimal("7854.31")]]


def test_what_could_not_be_published_is_due_again_at_once():
    desk = a_desk_with_one_trade()
    due = desk.due(START + 10)
    desk.unpublished(due)
    assert desk.due(START + 11)[0].prices == due[0].prices
    del desk.seats["btc-usd"]
    desk.unpublished(due)
    assert desk.due(START + 12) == []


def test_the_desk_knows_when_something_is_due_next():
    desk = a_desk_with_one_trade()
    assert desk.next_due_ms() == 0
    desk.due(START + 10)
    assert desk.next_due_ms() == START + 1010
    feed(desk.seats["btc-usd"].pricer, [entry(START + 20, START + 15)])
    assert desk.next_due_ms() == START + 260
    assert Desk(Pace(), RATES).next_due_ms() is None
