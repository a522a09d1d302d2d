"""Losses on their way to the gap table: told by collectors, which know no PostgreSQL, recorded by the housekeeper.

    collector ─ tell ─▶ score 0 ─ the housekeeper has recorded it ─▶ score: when, ms ─ tell ─▶ the collector forgets it

The rule: who tells keeps a loss, and tells it again, until it is called recorded. So the end of Redis, of PostgreSQL or
of a process loses none; one that is recorded twice is the same row.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
import redis

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor, executed, pipeline
from priceverse.log import get_logger
from priceverse.model.loss import Loss

MOST = 1000
"""So many are read at once."""
KEPT_MS = 3_600_000
"""For so long a collector can learn that a loss is recorded; if it asks later, it is recorded again."""
_DECODER = msgspec.json.Decoder(Loss)


async def tell(door: RedisDoor, losses: Iterable[Loss]) -> set[Loss]:
    """Hand over `losses`, which may have been told before; return those that are recorded. Raises RedisUnavailable."""
    told = {msgspec.json.encode(loss): loss for loss in losses}

    def add_and_look(client: redis.Redis) -> list[float | None]:
        pipe = pipeline(client, keys.LOSSES)
        pipe.zadd(keys.LOSSES, dict.fromkeys(told, 0), nx=True)
        pipe.zmscore(keys.LOSSES, list(told))
        scores: list[float | None] = executed(pipe)[1]
        return scores

    scores = await door.run(add_and_look)
    return {loss for loss, score in zip(told.values(), scores, strict=True) if score}


async def waiting(door: RedisDoor) -> dict[bytes, Loss]:
    """Return losses that nobody has recorded yet, by their name there. Raises RedisUnavailable."""
    names: list[Any] = await door.run(lambda client: client.zrangebyscore(keys.LOSSES, 0, 0, start=0, num=MOST))
    found = {}
    for name in names:
        try:
            found[name] = _DECODER.decode(name)
        except msgspec.DecodeError as error:  # not ours
            get_logger().warning("loss_unreadable", error=str(error))
            await door.run(partial(_remove, name))
    return found


async def recorded(door: RedisDoor, names: Iterable[bytes], now_ms: int) -> None:
    """Tell that losses are recorded, and remove those that have been for long. Raises RedisUnavailable."""
    scores = dict.fromkeys(names, now_ms)
    await door.run(lambda client: client.zadd(keys.LOSSES, scores, xx=True))
    await door.run(lambda client: client.zremrangebyscore(keys.LOSSES, 1, now_ms - KEPT_MS))


def _remove(name: bytes, client: redis.Redis) -> None:
    client.zrem(keys.LOSSES, name)
