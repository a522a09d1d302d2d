"""Every Redis key of the program: its pattern, type, time to live and what it holds. No key is spelt anywhere else.

| key | type | TTL | holds |
|---|---|---|---|
| `price:<pair>` | string, and the channel of the same name | 60 s | live price, JSON |
| `rate:usd-rub` | string | none, its age is inside | rates by date, JSON |
| `stream:trades:<pair>` | stream | trimmed by age | trades of one source pair |
| `stats:<instance>:<child>` | string | 30 s | what the child last reported, JSON |
"""

GROUP = "aggregator-group"
"""Consumer group of the trade streams."""

PRICE_TTL_S = 60
STATS_TTL_S = 30
RATE = "rate:usd-rub"


def price(pair: str) -> str:
    """Return the key and channel of a pair's live price."""
    return f"price:{pair}"


def trades(pair: str) -> str:
    """Return the stream of a source pair's trades."""
    return f"stream:trades:{pair}"


def stats(instance: str, child: str) -> str:
    """Return the key under which a child publishes its statistics."""
    return f"stats:{instance}:{child}"
