"""From configuration keys to pricing rules."""

from decimal import Decimal

from priceverse.aggregator import plan
from priceverse.config.settings import Settings
from priceverse.model.exchange import Quote
from priceverse.model.price import Method
from priceverse.pricing.schedule import Grid, Pace


def test_the_keys_of_a_pair_win_over_the_common_ones():
    symbols = {"kraken": "LTC/USD", "binance": {"symbol": "LTCUSD", "quote": "usd"}, "okx": "LTC-USDT"}
    settings = Settings(
        pairs={
            "ltc-usd": {"symbols": symbols, "method": "median", "min_sources": 2, "max_deviation": "0.01"},
            "btc-usd": {"symbols": {"kraken": "BTC/USD"}},
        },
        aggregation={"max_weight": "0.5", "max_source_age_ms": 5000},
    )
    own = plan.market(settings, "ltc-usd")
    assert own.quotes == {"kraken": Quote.USD, "binance": Quote.USD, "okx": Quote.USDT}
    assert (own.rules.method, own.rules.min_sources, own.rules.max_deviation) == (Method.MEDIAN, 2, Decimal("0.01"))
    assert (own.rules.max_weight, own.rules.max_source_age_ms) == (Decimal("0.5"), 5000)
    assert own.needs_conversion
    common = plan.market(settings, "btc-usd")
    assert (common.rules.method, common.rules.min_sources) == (Method.VWAP, 1)
    assert not common.needs_conversion
    assert plan.reference(settings) is None


def test_the_defaults_are_those_of_the_specification():
    settings = Settings()
    assert plan.grid(settings) == Grid(interval_ms=10_000, window_ms=30_000, lateness_ms=5000)
    assert plan.pace(settings) == Pace(publish_ms=250, heartbeat_ms=1000)
    reference = plan.reference(settings)
    assert reference is not None
    assert reference.quotes == {"kraken": Quote.USD, "coinbase": Quote.USD}
