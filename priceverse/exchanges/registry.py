"""Every adapter by its exchange: what the collector, `decode` and the simulator's tests look them up in."""

from collections.abc import Mapping
from typing import Final

from priceverse.exchanges.binance import Binance
from priceverse.exchanges.bybit import Bybit
from priceverse.exchanges.coinbase import Coinbase
from priceverse.exchanges.kraken import Kraken
from priceverse.exchanges.kucoin import Kucoin
from priceverse.exchanges.okx import Okx
from priceverse.exchanges.protocol import Adapter
from priceverse.model.exchange import Exchange

ADAPTERS: Final[Mapping[Exchange, type[Adapter]]] = {
    Exchange.BINANCE: Binance,
    Exchange.KRAKEN: Kraken,
    Exchange.COINBASE: Coinbase,
    Exchange.OKX: Okx,
    Exchange.BYBIT: Bybit,
    Exchange.KUCOIN: Kucoin,
}
