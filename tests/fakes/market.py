"""Seeded streams of trades as an aggregator finds them: late, repeated, out of order, from clocks ahead; and an index
and candles of them computed the slow way, with fractions over the whole stream.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache
from random import Random

from priceverse.model.exchange import Quote
from priceverse.model.pair import REFERENCE_PAIR
from priceverse.pricing.convert import REFERENCE_MAX_AGE_MS
from priceverse.pricing.desk import Desk, Seat, Settled
from priceverse.pricing.entry import Entry
from priceverse.pricing.index import Rules
from priceverse.pricing.pricer import Market, PairPricer
from priceverse.pricing.reference import Reference
from priceverse.pricing.schedule import SKEW_MS, Grid, Position

Streams = dict[str, list[Entry]]

GRID = Grid(interval_ms=10_000, window_ms=30_000, lateness_ms=2_000, candle_lateness_ms=60_000)
RULES = Rules()
MARKETS = {
    "btc-usd": Market("btc-usd", {"kraken": Quote.USD, "binance": Quote.USDT, "okx": Quote.USDT}, RULES),
    "xmr-usd": Market("xmr-usd", {"kraken": Quote.USD, "kucoin": Quote.USDT}, RULES),
    REFERENCE_PAIR: Market(REFERENCE_PAIR, {"kraken": Quote.USD, "coinbase": Quote.USD}, RULES),
}
LEVELS = {"btc-usd": Decimal(64000), "xmr-usd": Decimal("150.5"), REFERENCE_PAIR: Decimal("0.9993")}


def streams(seed: int, *, start_ms: int, length_ms: int, per_s: float = 2.0) -> Streams:
    """Return the entries of every pair's stream."""
    return {pair: _stream(Random(f"{seed} {pair}"), pair, start_ms, length_ms, per_s) for pair in MARKETS}


def _stream(random: Random, pair: str, start_ms: int, length_ms: int, per_s: float) -> list[Entry]:
    found: list[Entry] = []
    last = (0, 0)
    at_ms = float(start_ms)
    while at_ms < start_ms + length_ms:
        at_ms += random.expovariate(per_s / 1000) + (random.choice((0, 45_000)) if random.random() < 0.01 else 0)
        last = (max(int(at_ms), last[0]), last[1] + 1 if int(at_ms) <= last[0] else 0)
        repeated = found and random.random() < 0.1
        recent = found[-20:] if random.random() < 0.7 else found
        entry = random.choice(recent) if repeated else _entry(random, pair, len(found), last[0])
        found.append(entry._replace(id=last))
    return found


def _entry(random: Random, pair: str, number: int, at_ms: int) -> Entry:
    late_ms = random.choice((random.randrange(-300, 300), random.randrange(100), random.randrange(5_000)))
    if random.random() < 0.01:
        late_ms = random.choice((-SKEW_MS - 1, 40_000))
    price = LEVELS[pair] * Decimal(random.randrange(9_990, 10_010)).scaleb(-4)
    volume = Decimal(random.randrange(1, 10**8)).scaleb(-8)
    exchange = random.choice(sorted(MARKETS[pair].quotes))
    return Entry((at_ms, 0), exchange, str(number), price, volume, at_ms - late_ms, at_ms - random.randrange(30))


@dataclass(frozen=True)
class Naive:
    """The index of every pair at every instant, from the whole streams at once."""

    streams: Streams
    grid: Grid = GRID
    markets: Mapping[str, Market] = field(default_factory=lambda: MARKETS)

    def price(self, pair: str, instant_ms: int) -> Decimal | None:
        """Return the price to eight places."""
        found = self._index(pair, instant_ms)
        return None if found is None else rounded(found[0], 8)

    def candles(self, pair: str, until_ms: int) -> dict[int, tuple[object, ...]]:
        """Return by start of the bucket: open, high, low, close, volume, Σ price × volume and number of trades.

        Of all trades that rows closed by `until_ms` have added; none of them is an outlier.
        """
        buckets: dict[int, list[tuple[Entry, Fraction]]] = {}
        conversion = cache(self._factor)
        for entry in self._once(pair, until_ms):
            belongs_to_ms = (entry.timestamp_ms // self.grid.interval_ms + 1) * self.grid.interval_ms
            usd = self.markets[pair].quotes[entry.exchange] is Quote.USD
            factor = Fraction(1) if usd else conversion(belongs_to_ms)
            added_ms = max(belongs_to_ms, self.grid.first_after(entry.id[0]))
            if factor is not None and self.grid.closes_ms(added_ms) <= until_ms:
                buckets.setdefault(entry.timestamp_ms // 300_000 * 300_000, []).append((entry, factor))
        return {start_ms: _candle(sorted(trades, key=_order)) for start_ms, trades in buckets.items()}

    def _once(self, pair: str, until_ms: int) -> list[Entry]:
        """Return the trades that count, each at its first appearance."""
        once: dict[tuple[str, str], Entry] = {}
        for entry in self.streams[pair]:
            next_ms = self.grid.first_after(entry.id[0])
            young = entry.timestamp_ms >= next_ms - self.grid.candle_lateness_ms
            if entry.id[0] < until_ms and young and entry.timestamp_ms < entry.id[0] + SKEW_MS:
                once.setdefault((entry.exchange, entry.trade_id), entry)
        return list(once.values())

    def _index(self, pair: str, instant_ms: int) -> tuple[Fraction, int] | None:
        trades = self._trades(pair, instant_ms)
        quotes = self.markets[pair].quotes
        factor = self._factor(instant_ms) if Quote.USDT in quotes.values() else None
        if any(quotes[trade.exchange] is Quote.USD for trade in trades) and factor is None:
            trades = [trade for trade in trades if quotes[trade.exchange] is Quote.USD]
        if not trades:
            return None
        volume = sum(Fraction(trade.volume) for trade in trades)
        value = sum(
            Fraction(trade.price) * Fraction(trade.volume) * (1 if quotes[trade.exchange] is Quote.USD else factor or 1)
            for trade in trades
        )
        return value / volume, max(trade.timestamp_ms for trade in trades)

    def _trades(self, pair: str, instant_ms: int) -> list[Entry]:
        start_ms = instant_ms - self.grid.window_ms
        once = self._once(pair, instant_ms + self.grid.lateness_ms)
        return [entry for entry in once if start_ms <= entry.timestamp_ms < instant_ms]

    def _factor(self, instant_ms: int) -> Fraction | None:
        for earlier_ms in range(instant_ms, instant_ms - REFERENCE_MAX_AGE_MS - 1, -self.grid.interval_ms):
            if (found := self._index(REFERENCE_PAIR, earlier_ms)) is not None:
                young = instant_ms - found[1] <= REFERENCE_MAX_AGE_MS
                return Fraction(rounded(found[0], 20)) if young else None
        return None


def _order(trade: tuple[Entry, Fraction]) -> tuple[int, str, int, str]:
    entry = trade[0]
    return entry.timestamp_ms, entry.exchange, len(entry.trade_id), entry.trade_id


def _candle(trades: list[tuple[Entry, Fraction]]) -> tuple[object, ...]:
    prices = [Fraction(entry.price) * factor for entry, factor in trades]
    volume = sum(Fraction(entry.volume) for entry, _ in trades)
    value = sum(Fraction(entry.price) * Fraction(entry.volume) * factor for entry, factor in trades)
    ends = (prices[0], max(prices), min(prices), prices[-1])
    return (*(rounded(price, 8) for price in ends), volume, value, len(trades))


def rounded(number: Fraction, places: int) -> Decimal:
    """Round half-even, as `round` does for fractions."""
    return Decimal(round(number * 10**places)).scaleb(-places)


def seat_at(desk: Desk, pair: str, position: Position, derived: tuple[str, ...] = ()) -> Seat:
    """Give a pair a fresh seat that goes on at a position."""
    desk.seats[pair] = Seat(PairPricer(MARKETS[pair], GRID, position), derived)
    return desk.seats[pair]


def with_reference(desk: Desk, position: Position) -> None:
    """Let the desk follow the reference pair."""
    desk.reference = Reference(MARKETS[REFERENCE_PAIR], GRID, GRID.belongs_to(position.instant_ms))


def read(desk: Desk, found: Streams, until_ms: int, *, most: int | None = None) -> list[Settled]:
    """Feed every pricer what its stream holds below `until_ms`, at most `most` entries each; return what is final."""
    followed = [seat.pricer for seat in desk.seats.values()] + ([desk.reference.pricer] if desk.reference else [])
    for pricer in followed:
        new = [entry for entry in found[pricer.pair] if pricer.last_id < entry.id < (until_ms, 0)]
        feed(pricer, new[:most])
        pricer.reach(new[most].id[0] if most is not None and len(new) > most else until_ms)
    return desk.settle()


def feed(pricer: PairPricer, entries: Iterable[Entry]) -> None:
    """Feed entries one by one."""
    for entry in entries:
        pricer.feed(entry)
