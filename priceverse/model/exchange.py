"""The exchanges this program can listen to: one closed set, from the configuration key to the metric label."""

from enum import StrEnum


class Exchange(StrEnum):
    """A venue; the value names its adapter, its configuration table, its collector and its frame folder."""

    BINANCE = "binance"
    KRAKEN = "kraken"
    COINBASE = "coinbase"
    OKX = "okx"
    BYBIT = "bybit"
    KUCOIN = "kucoin"


class Side(StrEnum):
    """What the taker of a trade did."""

    BUY = "buy"
    SELL = "sell"


class Quote(StrEnum):
    """The currency in which a venue quotes a symbol of a USD pair.

    Four of the six venues trade against Tether: their prices are in USDT and become USD only through the `usdt-usd`
    index.
    """

    USD = "usd"
    USDT = "usdt"
