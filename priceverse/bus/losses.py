"""Losses on their way to the gap table: told by collectors, which know no PostgreSQL, recorded by the housekeeper.

    collector ─ tell ─▶ score 0 ─ the housekeeper has recorded it ─▶ score: when, ms ─ tell ─▶ the collector forgets it

The rule: who tells keeps a loss, and tells it again, until it is called recorded. So the end of Redis, of PostgreSQL or
of a process loses none; one that is recorded twice is the same row.
"""

from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any

import msgspec
import redis

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor, executed, pipeline
from priceverse.log import get_logger
from priceverse.model.exchange import Exchange
from priceverse.model.loss import Loss, LossReason
from priceverse.model.pair import PAIR

MOST = 1000
"""So many are read at once."""
LATEST_MS = 4_102_444_800_000  # 2100-01-01
KEPT_MS = 3_600_000
"""For so long a collector can learn that a loss is recorded; if it asks later, it is recorded again."""


class _Told(msgspec.Struct):
    exchange: Exchange
    pair: str
    from_ms: Annotated[int, msgspec.Meta(ge=0)]
    to_ms: Annotated[int, msgspec.Meta(lt=LATEST_MS)]
    reason: LossReason

    def __post_init__(self) -> None:
        if self.from_ms >= self.to_ms or not PAIR.fullmatch(self.pair):
            raise ValueError("it ends before it begins, or of no pair")


_DECODER = msgspec.json.Decoder(_Told)


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
    """Return losses that nobody has recorded yet, by their name there; what is none is removed.

    Raises RedisUnavailable.
    """
    names: list[Any] = await door.run(lambda client: client.zrangebyscore(keys.LOSSES, 0, 0, start=0, num=MOST))
    found = {}
    for name in names:
        try:
            told = _DECODER.decode(name)
        except msgspec.DecodeError as error:  # not ours
            get_logger().warning("loss_unreadable", error=str(error))
            await door.run(partial(_remove, name))
        else:
            found[name] = Loss(told.exchange, told.pair, told.from_ms, told.to_ms, told.reason)
    return found


async def recorded(door: RedisDoor, names: Iterable[bytes], now_ms: int) -> None:
    """Tell that losses are recorded, and remove those that have been for long. Raises RedisUnavailable."""
    scores = dict.fromkeys(names, now_ms)
    await door.run(lambda client: client.zadd(keys.LOSSES, scores, xx=True))
    await door.run(lambda client: client.zremrangebyscore(keys.LOSSES, 1, now_ms - KEPT_MS))


def _remove(name: bytes, client: redis.Redis) -> None:
    client.zrem(keys.LOSSES, name)
