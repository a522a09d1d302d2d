"""Candles of the simulated venues: what our own reader asks is what it gets, the same each time, within each limit."""

from decimal import Decimal
from itertools import pairwise
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from priceverse.exchanges.candles import CANDLES
from priceverse.model.candle import Interval
from priceverse.model.exchange import Exchange, Side
from priceverse.simulator import klines
from priceverse.simulator.history import History
from priceverse.simulator.listings import listings
from priceverse.simulator.match import NS_PER_MS, Match
from priceverse.simulator.venues.protocol import Request

FIVE, HOUR, DAY = Interval
NOW_MS = 1_790_000_100_000 // DAY.ms * DAY.ms + 13 * HOUR.ms + 1
each_venue = pytest.mark.parametrize("exchange", list(Exchange))
each_interval = pytest.mark.parametrize("interval", list(Interval))


def ask(exchange, interval, from_ms, until_ms, history=None):
    """Ask as the program does and read the answer as it does."""
    venue = CANDLES[exchange]
    named = listings(exchange)[0].symbol
    parts = urlsplit(venue.request("http://x", named, interval, from_ms, until_ms).url)
    request = Request("GET", unquote(parts.path), dict(parse_qsl(parts.query)), {})
    reply = klines.respond(exchange, request, history or History([]), NOW_MS * NS_PER_MS)
    assert reply is not None
    return venue.read("btc-usd", interval, from_ms, until_ms, reply.body)


@each_venue
@each_interval
def test_every_bucket_of_the_past_is_there_and_always_the_same(exchange, interval):
    until_ms = NOW_MS // interval.ms * interval.ms
    found = ask(exchange, interval, until_ms - 20 * interval.ms, until_ms)
    assert [candle.start_ms for candle in found] == [until_ms - n * interval.ms for n in range(20, 0, -1)]
    assert ask(exchange, interval, until_ms - 10 * interval.ms, until_ms) == found[10:]


@each_venue
def test_neighbours_agree_and_venues_differ_little(exchange):
    found = ask(exchange, HOUR, NOW_MS // HOUR.ms * HOUR.ms - 5 * HOUR.ms, NOW_MS)
    for before, after in pairwise(found):
        assert abs(before.close / after.open - 1) < Decimal("1e-5")
    (other,) = ask(Exchange.KRAKEN, HOUR, found[0].start_ms, found[0].start_ms + HOUR.ms)
    assert abs(found[0].close / other.close - 1) < Decimal("0.02")


@each_venue
def test_no_more_rows_than_the_venue_gives(exchange):
    most = CANDLES[exchange].most_rows
    until_ms = NOW_MS // FIVE.ms * FIVE.ms
    assert len(ask(exchange, FIVE, until_ms - (most + 50) * FIVE.ms, until_ms)) <= most


@each_venue
def test_what_was_traded_here_is_summed_up(exchange):
    symbol = listings(exchange)[0].symbol
    history = History([symbol])
    start_ms = NOW_MS // FIVE.ms * FIVE.ms - FIVE.ms
    for n, (price, volume) in enumerate([("100.5", "1"), ("102", "2"), ("99", "0.5"), ("101", "1")]):
        history.add(Match(symbol, str(n + 1), price, volume, (start_ms + n) * NS_PER_MS, Side.BUY))
    (candle,) = ask(exchange, FIVE, start_ms, start_ms + FIVE.ms, history)
    assert (candle.open, candle.high, candle.low, candle.close) == (Decimal("100.5"), 102, 99, 101)
    assert candle.volume == Decimal("4.5")


def test_what_is_not_about_candles_is_left_to_the_venue():
    assert klines.respond(Exchange.KRAKEN, Request("GET", "/0/public/Trades", {}, {}), History([]), 0) is None


@each_venue
def test_an_unknown_symbol_is_refused(exchange):
    parts = urlsplit(CANDLES[exchange].request("http://x", "DOGE-XYZ", FIVE, NOW_MS - FIVE.ms, NOW_MS).url)
    request = Request("GET", unquote(parts.path), dict(parse_qsl(parts.query)), {})
    reply = klines.respond(exchange, request, History([]), NOW_MS * NS_PER_MS)
    assert reply is not None
    assert reply.status == 400
