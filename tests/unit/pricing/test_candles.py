"""What a settled instant adds to candles: who is left out and why, late trades, roubles, and what cannot be stored."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from priceverse.model.candle import Candle, merged
from priceverse.model.exchange import Quote
from priceverse.model.rate import Rate
from priceverse.pricing.convert import Rates
from priceverse.pricing.desk import Desk, Seat, Settled
from priceverse.pricing.entry import Entry
from priceverse.pricing.index import Rules
from priceverse.pricing.pricer import Market, PairPricer
from priceverse.pricing.schedule import Grid, Pace

GRID = Grid(candle_lateness_ms=600_000)
START = 1_767_225_600_000
VENUES = ("binance", "bybit", "coinbase", "kraken", "kucoin", "okx")
END = START + 120_000
Change = Callable[[str, int], Decimal]


def a_desk(quotes: dict[str, Quote] | None = None, *, derived: tuple[str, ...] = (), position_ms: int = START) -> Desk:
    market = Market("btc-usd", quotes or dict.fromkeys(VENUES, Quote.USD), Rules())
    desk = Desk(Pace(), Rates())
    desk.seats["btc-usd"] = Seat(PairPricer(market, GRID, GRID.position_at(position_ms)), derived)
    return desk


def settle(desk: Desk, entries: Iterable[Entry], until_ms: int = END) -> list[Settled]:
    pricer = desk.seats["btc-usd"].pricer
    for number, entry in enumerate(sorted(entries, key=lambda entry: entry.id)):
        pricer.feed(entry._replace(id=(entry.id[0], number)))
    pricer.reach(until_ms)
    return desk.settle()


def entry(ms: int, price: object = 100, *, venue: str = "kraken", at_ms: int | None = None, name: str = "") -> Entry:
    """A trade of volume 1 that reached the stream at `at_ms`, at once if not told."""
    at_ms = ms if at_ms is None else at_ms
    return Entry((at_ms, 0), venue, name or f"{venue}{ms}", Decimal(str(price)), Decimal(1), ms, at_ms)


def market(change: Change = lambda *_: Decimal(1)) -> list[Entry]:
    """Every venue trades every second at 100, times what `change` says of venue and second."""
    seconds = range(118)
    return [
        entry(START + second * 1000, Decimal(100) * change(venue, second), venue=venue)
        for second in seconds
        for venue in VENUES
    ]


def candles(settled: list[Settled], pair: str = "btc-usd") -> list[Candle]:
    found = merged(candle for done in settled for candle in done.candles)
    return sorted((candle for candle in found if candle.pair == pair), key=lambda candle: candle.start_ms)


@pytest.mark.parametrize("factor", [Decimal("1.5"), Decimal("0.5")])
def test_a_venue_that_prints_half_as_much_moves_neither_index_nor_candle(factor):
    """One of six venues goes wild for twenty seconds: the index moves by less than 0.01 %, its prints are counted."""

    def change(venue: str, second: int) -> Decimal:
        return factor if venue == "okx" and 40 <= second < 60 else Decimal(1)

    desk = a_desk()
    settled = settle(desk, market(change))
    assert {row.price for done in settled for row in done.rows} == {Decimal(100)}
    (candle,) = candles(settled)
    assert (candle.low, candle.high, candle.volume) == (100, 100, candle.trades)
    left = desk.seats["btc-usd"].pricer.left
    assert left["outlier"] >= 20
    assert left["outlier"] + candle.trades == len(VENUES) * 110


def test_a_single_wild_print_is_left_out_alone():
    desk = a_desk()
    settled = settle(desk, market(lambda venue, second: Decimal(3 if (venue, second) == ("okx", 45) else 1)))
    (candle,) = candles(settled)
    assert (candle.high, desk.seats["btc-usd"].pricer.left) == (100, {"outlier": 1})


def test_a_late_trade_revises_its_bucket_and_says_so():
    desk = a_desk(position_ms=START - 400_000)
    late = entry(START - 200_000, 99, at_ms=START + 60_000)
    first, second, _ = candles(settle(desk, [entry(START - 350_000, 98), *market(), late]))
    assert (first.start_ms, first.trades, first.open, first.close) == (START - 600_000, 1, 98, 98)
    assert (second.start_ms, second.trades, second.close) == (START - 300_000, 1, 99)
    assert desk.seats["btc-usd"].pricer.late == 1


def test_a_late_trade_far_from_the_price_is_an_outlier():
    desk = a_desk(position_ms=START - 400_000)
    settled = settle(desk, [*market(), entry(START - 200_000, 50, at_ms=START + 60_000)])
    assert [candle.start_ms for candle in candles(settled)] == [START]
    assert desk.seats["btc-usd"].pricer.left == {"outlier": 1}


def test_a_trade_later_than_candles_wait_is_refused_and_counted():
    desk = a_desk(position_ms=START - 400_000)
    settle(desk, [*market(), entry(START - 600_000, at_ms=START + 60_000)])
    assert desk.seats["btc-usd"].pricer.refused == {"late": 1}


def test_the_same_trade_again_after_minutes_is_known():
    desk = a_desk()
    first = entry(START + 1000)
    again = [first._replace(id=(START + 1000 + minute * 60_000, 0)) for minute in range(1, 9)]
    (candle,) = candles(settle(desk, [first, *again], START + 600_000))
    assert candle.trades == 1
    assert desk.seats["btc-usd"].pricer.refused == {"duplicate": 8}


def test_what_cannot_be_converted_is_counted_and_left_out():
    desk = a_desk({"kraken": Quote.USD, "okx": Quote.USDT})
    settled = settle(desk, [entry(START), entry(START, venue="okx")])
    assert [candle.trades for candle in candles(settled)] == [1]
    assert desk.seats["btc-usd"].pricer.left == {"no_conversion": 1}


def test_roubles_are_each_trade_times_the_rate_of_its_day():
    """The day begins at midnight in Moscow, 21:00 UTC, which is between two buckets."""
    midnight = int(datetime(2026, 1, 2, 21, tzinfo=UTC).timestamp()) * 1000
    desk = a_desk(derived=("btc-rub",), position_ms=midnight - 60_000)
    desk.rates = Rates((Rate(Decimal("78.5"), date(2026, 1, 2), 0), Rate(Decimal("80.25"), date(2026, 1, 3), 0)))
    trades = [entry(midnight + second * 1000, 1000 + second) for second in range(-30, 30)]
    before, after = candles(settle(desk, trades, midnight + 60_000), "btc-rub")
    assert (before.close, after.open) == (999 * Decimal("78.5"), 1000 * Decimal("80.25"))
    assert before.quote_volume == sum(range(970, 1000)) * Decimal("78.5")
    assert after.quote_volume == sum(range(1000, 1030)) * Decimal("80.25")


def test_without_a_rate_there_are_no_rouble_candles_and_the_dollar_ones_go_on():
    desk = a_desk(derived=("btc-rub",))
    settled = settle(desk, market())
    (dollars,) = candles(settled)
    assert candles(settled, "btc-rub") == []
    assert desk.seats["btc-usd"].pricer.left == {"no_rate": dollars.trades}


@pytest.mark.parametrize("price", ["1e-12", "4.9e-9"])
def test_a_price_that_the_schema_would_store_as_zero_enters_nothing(price):
    desk = a_desk()
    settled = settle(desk, [entry(START, price)])
    assert [(done.rows, done.candles) for done in settled if done.rows or done.candles] == []
    assert desk.seats["btc-usd"].pricer.left == {"unstorable": 1}
