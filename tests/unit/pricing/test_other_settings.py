"""A pair goes on with other settings than those that brought it where it is: no trade is lost, none counts twice."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest

from priceverse.model.candle import Candle, merged
from priceverse.model.exchange import Quote
from priceverse.model.price import Method
from priceverse.pricing.convert import Rates
from priceverse.pricing.desk import Desk, Seat, Settled
from priceverse.pricing.entry import Entry
from priceverse.pricing.index import Rules
from priceverse.pricing.pricer import Market, PairPricer
from priceverse.pricing.schedule import SKEW_MS, Grid, Pace, Position
from tests.fakes.market import MARKETS, RULES, streams

START = 1_767_225_600_000
LENGTH = 240_000
END = START + LENGTH + 300_000
"""By then every trade is old enough to have been added, whatever the grid."""

GRID = Grid(interval_ms=10_000, window_ms=30_000, lateness_ms=2_000, candle_lateness_ms=180_000)
MARKET = Market("btc-usd", dict.fromkeys(MARKETS["btc-usd"].quotes, Quote.USD), RULES)
CHANGES = [
    {},
    {"lateness_ms": 0},
    {"lateness_ms": 3_000},
    {"lateness_ms": 5_000},
    {"lateness_ms": 60_000},
    {"interval_ms": 5_000},
    {"interval_ms": 7_000},
    {"interval_ms": 60_000},
    {"window_ms": 3_000},
    {"window_ms": 45_000},
    {"candle_lateness_ms": 3_600_000},
    {"interval_ms": 60_000, "window_ms": 1_000, "lateness_ms": 11_000},
]


def trades(seed: int) -> list[Entry]:
    return streams(seed, start_ms=START, length_ms=LENGTH)["btc-usd"]


def run(
    entries: Sequence[Entry], grid: Grid, position: Position, until_ms: int, market: Market = MARKET
) -> list[Settled]:
    """What a process settles that starts at `position` and has read the streams up to `until_ms`."""
    desk = Desk(Pace(), Rates())
    pricer = PairPricer(market, grid, position)
    desk.seats["btc-usd"] = Seat(pricer)
    for entry in entries:
        if grid.needed_from_ms(position) <= entry.id[0] < until_ms:
            pricer.feed(entry)
    pricer.reach(until_ms)
    return desk.settle()


def candles(settled: Sequence[Settled]) -> dict[object, Candle]:
    return {candle.bucket: candle for candle in merged(candle for done in settled for candle in done.candles)}


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_candles_are_those_of_a_run_that_nobody_changed(seed, change):
    """Back and forth between two grids, each time from what is committed; what was settled after that is lost."""
    entries, random = trades(seed), Random(seed)
    grids = GRID, replace(GRID, **change)
    position, committed = GRID.position_at(START), []
    for turn, at_ms in enumerate(sorted(random.randrange(START, START + LENGTH) for _ in range(6))):
        settled = run(entries, grids[turn % 2], position, at_ms)
        kept = settled[: random.randrange(len(settled) + 1)]
        committed += kept
        position = kept[-1].until if kept else position
    committed += run(entries, grids[1], position, END)
    assert candles(committed) == candles(run(entries, GRID, GRID.position_at(START), END))


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_rows_go_on_with_the_next_instant_of_the_new_grid(change):
    entries, grid = trades(1), replace(GRID, **change)
    before = run(entries, GRID, GRID.position_at(START), START + LENGTH // 2)
    after = run(entries, grid, before[-1].until, START + LENGTH)
    instants = [done.instant_ms for done in after]
    first_ms = grid.belongs_to(before[-1].instant_ms)
    assert instants == list(range(first_ms, first_ms + len(after) * grid.interval_ms, grid.interval_ms))
    chain = [*before, *after]
    assert all(left.until == right.since for left, right in pairwise(chain))
    assert all(done.until.covers(done.since) for done in chain)


@pytest.mark.parametrize(
    "market",
    [
        replace(MARKET, rules=Rules(method=Method.MEDIAN, min_sources=6)),
        replace(MARKET, quotes={**MARKET.quotes, "bybit": Quote.USD}),
        replace(MARKET, quotes={"kraken": Quote.USD}),
    ],
)
def test_another_way_of_pricing_adds_what_was_not_added_and_nothing_else(market):
    """Another method, a venue more or less: each trade is judged once, by whoever adds it."""
    entries = trades(2)
    before = run(entries, GRID, GRID.position_at(START), START + LENGTH // 2)
    position = before[-1].until
    after = run(entries, GRID, position, END, market)
    rest = run(entries, GRID, position, END)
    added = {entry.exchange for entry in entries} & market.quotes.keys()
    shares = [
        run([entry for entry in entries if entry.exchange == each], GRID, position, END) for each in sorted(added)
    ]
    assert candles(after) == candles([done for share in shares for done in share])
    if added == MARKET.quotes.keys():
        assert candles(after) == candles(rest)


@pytest.mark.parametrize("seed", range(4))
def test_a_clock_of_redis_that_steps_back_costs_no_trade(seed):
    """Ids stand still until the clock has caught up with them; an owner ends before it has, another goes on."""
    entries = [entry for entry in trades(seed) if entry.timestamp_ms < entry.id[0] + SKEW_MS]
    step_ms, back_ms = START + LENGTH // 2, 60_000
    stuck = [
        entry._replace(id=(step_ms + back_ms, number)) if step_ms <= entry.id[0] < step_ms + back_ms else entry
        for number, entry in enumerate(entries)
    ]
    before = run(stuck, GRID, GRID.position_at(START), step_ms + back_ms + 1)
    after = run(stuck, GRID, before[-1].until, END)
    assert candles([*before, *after]) == candles(run(entries, GRID, GRID.position_at(START), END))


@pytest.mark.parametrize(
    "change", [*CHANGES, {"interval_ms": 1_000}, {"interval_ms": 1_000, "window_ms": 1_000}], ids=str
)
def test_what_is_spent_is_in_no_row_and_no_candle_to_come(change):
    """It may be trimmed. Trades are as early, and as late, as they may be."""
    grid, random = replace(GRID, **change), Random(1)
    entries = [
        Entry((at_ms, 0), "kraken", str(at_ms), Decimal(100), Decimal(1), at_ms + SKEW_MS - ahead_ms, at_ms)
        for at_ms in range(START, START + LENGTH, 300)
        for ahead_ms in [random.choice([1, 2_000, 20_000])]
    ]
    position = run(entries, grid, grid.position_at(START), START + LENGTH // 2)[-1].until
    left = [entry for entry in entries if entry.id[0] >= grid.spent_before_ms(position)]
    assert len(left) < len(entries)
    assert run(left, grid, position, END) == run(entries, grid, position, END)
