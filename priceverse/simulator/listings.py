"""The symbols that the simulated venues trade: tick, lot, pace and the way the venue prints numbers.

One table; the walk trades all of it, sessions refuse what is not in it (or in the captures of a replay). The symbols of
a default installation are `default`: the truth has them always, the others once somebody has subscribed to them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from priceverse.config.defaults import DEFAULT_PAIRS
from priceverse.model.exchange import Exchange, Quote
from priceverse.simulator.match import fixed, trimmed


@dataclass(frozen=True, slots=True)
class Listing:
    """One symbol of one venue.

    A price moves in steps of 10^-`price_places`, a volume in 10^-`volume_places`. `sweeps_per_s` is the mean rate of
    taker orders, `usd` the median worth of one fill.
    """

    exchange: Exchange
    symbol: str
    pair: str
    quote: Quote
    price_places: int
    volume_places: int
    sweeps_per_s: float
    usd: float
    default: bool

    @property
    def asset(self) -> str:
        """Return what is traded: `btc`."""
        return self.pair.partition("-")[0]

    def price(self, units: int) -> str:
        """Print a price of so many ticks."""
        return self._printed(units, self.price_places)

    def volume(self, units: int) -> str:
        """Print a volume of so many lots."""
        return self._printed(units, self.volume_places)

    def _printed(self, units: int, places: int) -> str:
        match self.exchange:
            case Exchange.BINANCE:
                return fixed(units, places) + "0" * (8 - places)
            case Exchange.KRAKEN:
                return fixed(units, places)
            case _:
                return trimmed(fixed(units, places))


def listings(exchange: Exchange | None = None) -> tuple[Listing, ...]:
    """Return the listings of one venue, or all."""
    return tuple(each for each in LISTINGS if exchange in (None, each.exchange))


def default_pairs() -> dict[tuple[str, str], str]:
    """Return (exchange, symbol) → pair for everything in the table."""
    return {(each.exchange.value, each.symbol): each.pair for each in LISTINGS}


def _rows(
    exchange: Exchange, quote: Quote, rows: Iterable[tuple[str, str, int, int, float, float]]
) -> tuple[Listing, ...]:
    usual = _default_symbols(exchange)
    return tuple(
        Listing(exchange, symbol, pair, quote, price_places, volume_places, sweeps_per_s, usd, symbol in usual)
        for symbol, pair, price_places, volume_places, sweeps_per_s, usd in rows
    )


def _default_symbols(exchange: Exchange) -> set[str]:
    tables = (table.get("symbols") for table in DEFAULT_PAIRS.values())
    return {table[exchange.value] for table in tables if isinstance(table, dict) and exchange.value in table}


LISTINGS = (
    *_rows(
        Exchange.BINANCE,
        Quote.USDT,
        [
            ("BTCUSDT", "btc-usd", 2, 5, 20.0, 160.0),
            ("ETHUSDT", "eth-usd", 2, 4, 12.0, 120.0),
            ("LTCUSDT", "ltc-usd", 2, 3, 1.0, 60.0),
        ],
    ),
    *_rows(
        Exchange.KRAKEN,
        Quote.USD,
        [
            ("BTC/USD", "btc-usd", 1, 8, 2.5, 400.0),
            ("ETH/USD", "eth-usd", 2, 8, 2.0, 300.0),
            ("XMR/USD", "xmr-usd", 2, 8, 0.3, 200.0),
            ("LTC/USD", "ltc-usd", 2, 8, 0.2, 100.0),
            ("USDT/USD", "usdt-usd", 5, 8, 1.2, 900.0),
        ],
    ),
    *_rows(
        Exchange.COINBASE,
        Quote.USD,
        [
            ("BTC-USD", "btc-usd", 2, 8, 7.0, 250.0),
            ("ETH-USD", "eth-usd", 2, 8, 5.0, 180.0),
            ("LTC-USD", "ltc-usd", 2, 8, 0.4, 80.0),
            ("USDT-USD", "usdt-usd", 5, 2, 1.0, 700.0),
        ],
    ),
    *_rows(
        Exchange.OKX,
        Quote.USDT,
        [
            ("BTC-USDT", "btc-usd", 1, 8, 8.0, 150.0),
            ("ETH-USDT", "eth-usd", 2, 6, 6.0, 120.0),
            ("LTC-USDT", "ltc-usd", 2, 6, 0.4, 60.0),
        ],
    ),
    *_rows(
        Exchange.BYBIT,
        Quote.USDT,
        [
            ("BTCUSDT", "btc-usd", 1, 6, 8.0, 150.0),
            ("ETHUSDT", "eth-usd", 2, 5, 6.0, 110.0),
            ("LTCUSDT", "ltc-usd", 2, 5, 0.4, 60.0),
        ],
    ),
    *_rows(
        Exchange.KUCOIN,
        Quote.USDT,
        [
            ("BTC-USDT", "btc-usd", 1, 8, 4.0, 90.0),
            ("ETH-USDT", "eth-usd", 2, 7, 3.0, 80.0),
            ("XMR-USDT", "xmr-usd", 2, 4, 0.25, 90.0),
            ("LTC-USDT", "ltc-usd", 3, 6, 0.3, 50.0),
        ],
    ),
)
