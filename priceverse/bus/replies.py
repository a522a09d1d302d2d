"""Kept replies on the bus: what one process computed, for all of them, and the lock on computing it twice.

The rule: a reply is kept with the moment it was made, longer than it is fresh; how old is too old is the reader's say.
"""

from dataclasses import dataclass

import redis

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor, executed, pipeline


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply as JSON, and when it was made."""

    made_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """What was kept, if anything; with `is_ours` the caller is now the one to make it anew.

    It has `keys.LOCK_MS` for it.
    """

    kept: Kept | None
    is_ours: bool


async def take(door: RedisDoor, key: str, *, made_after_ms: int, lock: bool) -> Taken:
    """Return what is kept under `key`; with `lock`, take the lock if that is not made after `made_after_ms`.

    Raises RedisUnavailable.
    """

    def work(client: redis.Redis) -> Taken:
        kept = _decode(client.get(key))
        if not lock or is_new(kept):
            return Taken(kept, is_ours=False)
        with pipeline(client) as pipe:
            pipe.set(keys.lock(key), b"", nx=True, px=keys.LOCK_MS)
            pipe.get(key)  # whoever had the lock may have kept a reply since the look above
            is_ours, payload = executed(pipe)
        kept = _decode(payload)
        if is_ours and is_new(kept):
            client.delete(keys.lock(key))
        return Taken(kept, bool(is_ours) and not is_new(kept))

    def is_new(kept: Kept | None) -> bool:
        return kept is not None and kept.made_ms > made_after_ms

    return await door.run(work)


async def keep(door: RedisDoor, key: str, kept: Kept, ttl_s: int) -> None:
    """Keep a reply and give up the lock. Raises RedisUnavailable."""

    def work(client: redis.Redis) -> None:
        with pipeline(client) as pipe:
            pipe.set(key, b"%d\n%b" % (kept.made_ms, kept.body), ex=ttl_s)
            pipe.delete(keys.lock(key))
            executed(pipe)

    await door.run(work)


async def release(door: RedisDoor, key: str) -> None:
    """Give up the lock without a reply. Raises RedisUnavailable."""
    await door.run(lambda client: client.delete(keys.lock(key)))


def _decode(payload: object) -> Kept | None:
    """Return what `keep` wrote; None for anything that nobody of us wrote."""
    if not isinstance(payload, bytes):
        return None
    made, _, body = payload.partition(b"\n")
    return Kept(int(made), body) if made.isdigit() else None
