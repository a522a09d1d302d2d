"""Settings → what the pricing code is told: markets, grid, pace. Pure."""

from priceverse.config.settings import Settings
from priceverse.model.exchange import Exchange, Quote
from priceverse.model.pair import REFERENCE_PAIR
from priceverse.pricing.index import Rules
from priceverse.pricing.pricer import Market
from priceverse.pricing.schedule import Grid, Pace


def grid(settings: Settings) -> Grid:
    """Return the instants of history."""
    chosen = settings.aggregation
    return Grid(chosen.interval, chosen.window_size, chosen.lateness_ms, chosen.candle_lateness_ms)


def pace(settings: Settings) -> Pace:
    """Return how often live prices go out."""
    return Pace(settings.aggregation.publish_interval_ms, settings.aggregation.heartbeat_ms)


def market(settings: Settings, name: str) -> Market:
    """Return how a source pair is priced; its own keys win over those of `aggregation`."""
    pair, common = settings.pairs[name], settings.aggregation
    rules = Rules(
        method=pair.method or common.method,
        min_sources=pair.min_sources or common.min_sources,
        max_deviation=pair.max_deviation or common.max_deviation,
        max_weight=common.max_weight,
        max_source_age_ms=common.max_source_age_ms,
    )
    return Market(name, {exchange.value: _quote(settings, name, exchange) for exchange in pair.symbols}, rules)


def reference(settings: Settings) -> Market | None:
    """Return the market that converts USDT; None where none is configured."""
    return market(settings, REFERENCE_PAIR) if REFERENCE_PAIR in settings.source_pairs else None


def _quote(settings: Settings, pair: str, exchange: Exchange) -> Quote:
    return settings.quote(pair, exchange)
