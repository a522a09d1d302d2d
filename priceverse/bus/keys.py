"""Every Redis key of the program: its pattern, type, time to live and what it holds. No key is spelt anywhere else.

| key | type | TTL | holds |
|---|---|---|---|
| `price:<pair>` | string, and the channel of the same name | 60 s | live price, JSON |
| `rate:usd-rub` | string | none, its age is inside | rates by date, JSON |
| `stream:trades:<pair>` | stream | trimmed by age | trades of one source pair |
| `stats:<instance>:<child>` | string | 30 s | what the child last reported, JSON |
| `change:<pair>:<period>:<from>:<to>` | string | 30 s | ms when made, a line feed, reply of getPriceChange, JSON |
| `chart:<pair>:<interval>:…` | string | 1 h, fresh for 60 s | ms when made, a line feed, reply about candles, JSON |
| `lease:<kind>:<key>` | string | `lease_ms` (10 s), renewed | who owns a key of a kind: the process, see `holder` |
| `fence:<kind>` | string | none | the last fencing number that an owner was given, integer |
| `alerts:<instance>` | string | none | rule, subject and beginning of each alert that fires, JSON |
| `backfill:<exchange>:<pair>` | string | 24 h | up to where a stream is whole, and what it lacks beyond, JSON |
| `losses` | sorted set | 1 h once recorded | losses, JSON, by when they were recorded, ms; 0: not yet |
| `lock:<key>` | string | 10 s | nothing: somebody is making what `<key>` is to hold |
"""

GROUP = "aggregator-group"
"""Consumer group of the trade streams."""

PRICE_TTL_S = 60
STATS_TTL_S = 30
CHANGE_TTL_S = 30
CHART_TTL_S = 3600
LOCK_MS = 10_000
BACKFILL_TTL_S = 86_400
RATE = "rate:usd-rub"
LOSSES = "losses"


def alerts(instance: str) -> str:
    """Return the key of what an instance's alerts have told."""
    return f"alerts:{instance}"


def price(pair: str) -> str:
    """Return the key and channel of a pair's live price."""
    return f"price:{pair}"


def trades(pair: str) -> str:
    """Return the stream of a source pair's trades."""
    return f"stream:trades:{pair}"


def stats(instance: str, child: str) -> str:
    """Return the key under which a child publishes its statistics."""
    return f"stats:{instance}:{child}"


def change(*question: str) -> str:
    """Return the key of a price change: pair, period, from, to."""
    return ":".join(("change", *question))


def chart(*question: str) -> str:
    """Return the key of a reply about candles: pair, interval and what else was asked."""
    return ":".join(("chart", *question))


def lease(kind: str, key: str) -> str:
    """Return the key that says who owns `key`."""
    return f"lease:{kind}:{key}"


def fence(kind: str) -> str:
    """Return the counter of fencing numbers."""
    return f"fence:{kind}"


def backfill(exchange: str, pair: str) -> str:
    """Return the key of what a stream lacks of an exchange's trades."""
    return f"backfill:{exchange}:{pair}"


def lock(key: str) -> str:
    """Return the key of the lock on making what `key` is to hold."""
    return f"lock:{key}"
