"""A market that nobody runs: a seeded random walk that trades every listing at a realistic pace, pure.

Each asset has one latent price in dollars; a venue quotes it with its own small, slow error, in USDT divided by the
dollar price of USDT, so that venues agree the way real ones do. Taker orders arrive by Poisson; one in a few sweeps
several price levels within a millisecond. The rule: randomness comes from the generator given, time from `now_ns`.
"""

import heapq
import math
from collections.abc import Sequence
from random import Random

from priceverse.model.exchange import Exchange, Quote, Side
from priceverse.simulator.listings import Listing
from priceverse.simulator.match import NS_PER_S, Match

Sweep = tuple[Listing, list[Match]]

START_USD = {"btc": 84_000.0, "eth": 2_700.0, "xmr": 300.0, "ltc": 95.0, "usdt": 0.9995}
SIGMA = {"btc": 9e-5, "eth": 1.25e-4, "xmr": 1.4e-4, "ltc": 1.4e-4}
"""Relative standard deviation per square root of a second: 50 to 80 % a year."""

PEG_RETURN_S, PEG_SIGMA = 8.0, 1.6e-5
"""USDT does not wander: it is drawn to `Walk.peg` with this time constant, and trembles so much per √s."""

SAME_SIDE, NEXT_FILL, NEXT_LEVEL = 0.65, 0.4, 0.35
BURST, BURST_NEXT_FILL, MOST_FILLS = 0.02, 0.9, 40
FILL_GAP_NS = 15_000

IDS_SINCE_S = 1_767_225_600
"""2026-01-01: trade ids begin so many per second later, so that a market restarted after a second repeats none."""
IDS_PER_SWEEP, IDS_PER_S = 60.0, 10.0
FIRST_ID = {
    Exchange.BINANCE: 6_715_000_000,
    Exchange.KRAKEN: 109_000_000,
    Exchange.COINBASE: 1_087_000_000,
    Exchange.OKX: 1_060_000_000,
    Exchange.BYBIT: 2_290_000_001_210_000_000,
    Exchange.KUCOIN: 23_715_934_308_417_536,
}


class Walk:
    """The market. `peg` and `outliers` (venue → chance and factor of an absurd print) are there to be shaken."""

    def __init__(self, rng: Random, listings: Sequence[Listing], start_ns: int, speed: float = 1.0) -> None:
        self._rng = rng
        self._speed = speed
        self._books = [_Book(listing, start_ns, speed) for listing in listings]
        self._usd = dict(START_USD)
        self._usd_ns = dict.fromkeys(START_USD, start_ns)
        self._due = [(start_ns + self._wait_ns(book), n) for n, book in enumerate(self._books)]
        heapq.heapify(self._due)
        self.peg = START_USD["usdt"]
        self.outliers: dict[Exchange, tuple[float, float]] = {}

    @property
    def next_ns(self) -> int:
        """Return when the next taker order arrives."""
        return self._due[0][0]

    def due(self, now_ns: int) -> list[Sweep]:
        """Return the taker orders up to `now_ns`, each with its fills, in order of arrival."""
        sweeps = []
        while self._due[0][0] <= now_ns:
            at_ns, n = self._due[0]
            book = self._books[n]
            sweeps.append((book.listing, self._sweep(book, at_ns)))
            heapq.heapreplace(self._due, (at_ns + self._wait_ns(book), n))
        return sweeps

    def skip_to(self, ns: int) -> None:
        """Let nothing happen before `ns` (the process was stopped, the machine slept)."""
        late_ns = max(0, ns - self.next_ns)
        self._due = [(at_ns + late_ns, n) for at_ns, n in self._due]

    def _wait_ns(self, book: "_Book") -> int:
        return int(self._rng.expovariate(book.listing.sweeps_per_s * self._speed) * NS_PER_S) + 1

    def _sweep(self, book: "_Book", at_ns: int) -> list[Match]:
        rng, listing = self._rng, book.listing
        if rng.random() > SAME_SIDE:
            book.side = Side.SELL if book.side is Side.BUY else Side.BUY
        fair = self._quote(listing, at_ns)
        book.drift(rng)
        away = 1 if book.side is Side.BUY else -1
        level = fair * (1 + book.error + away * book.half_spread) * 10**listing.price_places
        tick = max(1, math.ceil(level) if away > 0 else math.floor(level))
        fills = self._fills()
        times_ns = book.times(at_ns, fills)
        book.order += 1
        matches = []
        for time_ns in times_ns:
            price = self._maybe_absurd(listing.exchange, tick)
            matches.append(book.fill(rng, price, fair, time_ns))
            if rng.random() < NEXT_LEVEL:
                tick = max(1, tick + away * rng.choice((1, 1, 1, 2, 5)))
        return matches

    def _quote(self, listing: Listing, at_ns: int) -> float:
        usdt = self._level("usdt", at_ns)
        if listing.asset == "usdt":
            return usdt
        usd = self._level(listing.asset, at_ns)
        return usd / usdt if listing.quote is Quote.USDT else usd

    def _level(self, asset: str, at_ns: int) -> float:
        elapsed_s = max(0, at_ns - self._usd_ns[asset]) / NS_PER_S * self._speed
        step = self._rng.gauss(0, 1) * math.sqrt(elapsed_s)
        if asset == "usdt":
            pull = 1 - math.exp(-elapsed_s / PEG_RETURN_S)
            self._usd[asset] += (self.peg - self._usd[asset]) * pull + PEG_SIGMA * step
        else:
            self._usd[asset] *= math.exp(SIGMA[asset] * step)
        self._usd_ns[asset] = max(at_ns, self._usd_ns[asset])
        return self._usd[asset]

    def _fills(self) -> int:
        another = BURST_NEXT_FILL if self._rng.random() < BURST else NEXT_FILL
        fills = 1
        while fills < MOST_FILLS and self._rng.random() < another:
            fills += 1
        return fills

    def _maybe_absurd(self, exchange: Exchange, tick: int) -> int:
        chance, factor = self.outliers.get(exchange, (0.0, 1.0))
        return max(1, round(tick * factor)) if chance and self._rng.random() < chance else tick


class _Book:
    """Where one listing stands: last side, own price error, next id."""

    def __init__(self, listing: Listing, start_ns: int, speed: float) -> None:
        self.listing = listing
        self.side = Side.BUY
        self.error = 0.0
        self.half_spread = 5e-6 if listing.asset in ("btc", "usdt") else 3e-5 if listing.asset == "eth" else 3e-4
        ids_per_s = (listing.sweeps_per_s * speed * IDS_PER_SWEEP + IDS_PER_S) * _mean_step(listing)
        used = int(max(0.0, start_ns / NS_PER_S - IDS_SINCE_S) * ids_per_s)
        self._id = FIRST_ID[listing.exchange] + used - used % (1024 if listing.exchange is Exchange.KUCOIN else 1)
        self.order = start_ns // NS_PER_S * 1_000_000
        self._last_ns = 0

    def drift(self, rng: Random) -> None:
        self.error = 0.97 * self.error + rng.gauss(0, 1e-5)

    def times(self, at_ns: int, fills: int) -> list[int]:
        """Return strictly rising times that end at `at_ns`, or just after the last ones if those are not over."""
        times_ns = []
        for left in reversed(range(fills)):
            self._last_ns = max(self._last_ns + 1, at_ns - left * FILL_GAP_NS)
            times_ns.append(self._last_ns)
        return times_ns

    def fill(self, rng: Random, price: int, fair: float, time_ns: int) -> Match:
        self._id += _step(self.listing, rng)
        listing = self.listing
        lots = round(listing.usd * rng.lognormvariate(0, 1.3) / fair * 10**listing.volume_places)
        return Match(
            symbol=listing.symbol,
            trade_id=str(self._id),
            price=listing.price(price),
            volume=listing.volume(max(1, lots)),
            time_ns=time_ns,
            side=self.side,
            order=self.order,
        )


def _step(listing: Listing, rng: Random) -> int:
    """Return how far the next id is: KuCoin's and most of Bybit's have gaps that mean nothing."""
    match listing.exchange:
        case Exchange.KUCOIN:
            return 1024 * rng.randint(1, 15)
        case Exchange.BYBIT if listing.asset != "btc":
            return rng.randint(1, 22)
        case _:
            return 1


def _mean_step(listing: Listing) -> float:
    match listing.exchange:
        case Exchange.KUCOIN:
            return 1024 * 8.0
        case Exchange.BYBIT if listing.asset != "btc":
            return 11.5
        case _:
            return 1.0
