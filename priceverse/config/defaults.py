"""The pairs of a default installation and the symbols under which each venue trades them.

Facts of September 2026: XMR trades in USD on Kraken and in USDT on KuCoin only; Binance, OKX and Bybit spot do not
list it, Coinbase never did. BTC and ETH are quoted in USDT on four venues and in USD on two.
"""

DEFAULT_PAIRS: dict[str, dict[str, object]] = {
    "btc-usd": {
        "symbols": {
            "binance": "BTCUSDT",
            "kraken": "BTC/USD",
            "coinbase": "BTC-USD",
            "okx": "BTC-USDT",
            "bybit": "BTCUSDT",
            "kucoin": "BTC-USDT",
        }
    },
    "eth-usd": {
        "symbols": {
            "binance": "ETHUSDT",
            "kraken": "ETH/USD",
            "coinbase": "ETH-USD",
            "okx": "ETH-USDT",
            "bybit": "ETHUSDT",
            "kucoin": "ETH-USDT",
        }
    },
    "xmr-usd": {"symbols": {"kraken": "XMR/USD", "kucoin": "XMR-USDT"}},
    "usdt-usd": {"symbols": {"kraken": "USDT/USD", "coinbase": "USDT-USD"}, "listed": False},
    "btc-rub": {"derived_from": "btc-usd"},
    "eth-rub": {"derived_from": "eth-usd"},
    "xmr-rub": {"derived_from": "xmr-usd"},
}
