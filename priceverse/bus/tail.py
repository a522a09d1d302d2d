"""The end of a trade stream: which trades of one exchange are in it already. What a restarted collector begins from."""

from itertools import chain
from typing import Any

import redis

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor
from priceverse.bus.entries import decode
from priceverse.pricing.entry import Entry

ENTRIES = 2000
"""How far back a stream is looked at, over all exchanges."""


async def newest(door: RedisDoor, pair: str, exchange: str) -> list[Entry]:
    """Return the exchange's trades among the stream's newest entries, oldest first. Raises RedisUnavailable."""

    def work(client: redis.Redis) -> Any:  # noqa: ANN401 - as Redis sends it
        return client.xrevrange(keys.trades(pair), count=ENTRIES)

    found = []
    for identifier, fields in reversed(await door.run(work)):
        try:
            entry = decode(identifier, tuple(chain.from_iterable(fields.items())))
        except ValueError:  # somebody else wrote to our stream: its readers count it
            continue
        if entry.exchange == exchange:
            found.append(entry)
    return found
