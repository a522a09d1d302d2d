"""The consumers of the trade streams' group: each owner's own, and what others read that they should not have.

An owner that was paused may read once more through the group when it wakes up, before it learns that it lost the pair;
what it read is missing at the new owner. The rule: that is found out before anything is stored, by what is pending.
"""

import redis
from redis.exceptions import ResponseError

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor
from priceverse.bus.entries import StreamId
from priceverse.bus.group import LOST_PREFIXES

FORGOTTEN_MS = 60_000
"""A consumer that was silent for so long, and has nothing pending, is removed."""


async def others_read(door: RedisDoor, pair: str, mine: str, after: StreamId) -> bool:
    """Tell whether any consumer but `mine` was given entries after `after`. Raises RedisUnavailable."""
    return await door.run(lambda client: _others_read(client, keys.trades(pair), mine, after))


async def tidy(door: RedisDoor, pair: str) -> None:
    """Remove consumers of processes that are long gone. Raises RedisUnavailable."""
    await door.run(lambda client: _tidy(client, keys.trades(pair)))


def _others_read(client: redis.Redis, stream: str, mine: str, after: StreamId) -> bool:
    others = [name for name, pending, _ in _consumers(client, stream) if pending and name != mine]
    return any(client.xpending_range(stream, keys.GROUP, f"({after}", "+", 1, name) for name in others)


def _tidy(client: redis.Redis, stream: str) -> None:
    for name, pending, idle_ms in _consumers(client, stream):
        if not pending and idle_ms > FORGOTTEN_MS:
            client.xgroup_delconsumer(stream, keys.GROUP, name)


def _consumers(client: redis.Redis, stream: str) -> list[tuple[str, int, int]]:
    """Return name, number of pending entries and idle ms of each; none without a group."""
    try:
        found = client.xinfo_consumers(stream, keys.GROUP)
    except ResponseError as error:
        if str(error).startswith(LOST_PREFIXES):
            return []
        raise
    return [(each["name"].decode(), each["pending"], each["idle"]) for each in found]
