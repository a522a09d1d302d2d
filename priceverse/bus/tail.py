"""The end of a trade stream: which trades of one exchange are in it already. What a restarted collector begins from."""

from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import redis

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor
from priceverse.bus.entries import StreamId, decode
from priceverse.pricing.entry import Entry

ENTRIES = 2000
"""How many entries are read at once, of all exchanges."""
MOST_READS = 25
"""How often the stream is read further back, at most."""


@dataclass(frozen=True, slots=True)
class End:
    """An exchange's trades among a stream's newest entries, oldest first; `is_whole` if it reaches back as asked."""

    trades: list[Entry]
    is_whole: bool


async def newest(door: RedisDoor, pair: str, exchange: str, since_ms: int | None = None) -> End:
    """Read back until an entry is older than `since_ms`, Redis's time, or, without that, one is the exchange's.

    Raises RedisUnavailable.
    """
    found: list[Entry] = []
    beyond = "+"
    for _ in range(MOST_READS):
        raw = await door.run(partial(_read, pair, beyond))
        found += [entry for entry in map(_entry, raw) if entry is not None and entry.exchange == exchange]
        if len(raw) < ENTRIES:
            return End(found[::-1], is_whole=True)
        oldest = StreamId.parse(raw[-1][0])
        if found if since_ms is None else oldest.ms < since_ms:
            return End(found[::-1], is_whole=True)
        beyond = f"({oldest}"
    return End(found[::-1], is_whole=False)


def _read(pair: str, until: str, client: redis.Redis) -> Any:  # noqa: ANN401 - as Redis sends it
    return client.xrevrange(keys.trades(pair), max=until, count=ENTRIES)


def _entry(raw: tuple[bytes, dict[bytes, bytes]]) -> Entry | None:
    identifier, fields = raw
    try:
        return decode(identifier, tuple(chain.from_iterable(fields.items())))
    except ValueError:  # somebody else wrote to our stream: its readers count it
        return None
