"""Ownership across processes and hosts: a lease in Redis that is renewed, and a fencing number that only grows.

    take ─▶ number ─ renew, renew, … ─▶ release     (or: lost, because it ran out and somebody else took it)

A lease alone cannot stop an owner that was paused from writing when it wakes up; its number can, since PostgreSQL knows
the highest (`db.commits`). The rule: whoever is not sure any more that it holds a key does nothing with it.
"""

import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Self

import redis
import trio

from priceverse.bus import holder, keys
from priceverse.bus.client import RedisDoor, RedisUnavailable

_TAKE = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[3] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""
"""Take what is free, ours, or held by ARGV[3], who is dead; return who holds it otherwise. It renews as well."""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class Leases:
    """The leases of one kind that this process holds; `lease_ms` is how long one lasts without renewal."""

    def __init__(self, door: RedisDoor, kind: str, *, lease_ms: int) -> None:
        self._door = door
        self._kind = kind
        self._lease_ms = lease_ms
        self._until_s: dict[str, float] = {}
        self._one = trio.Lock()
        self.name = holder.myself()

    @property
    def held(self) -> frozenset[str]:
        """What was taken and not lost or released, sure or not."""
        return frozenset(self._until_s)

    def is_sure(self, key: str) -> bool:
        """Tell whether nobody else can hold `key` now: the lease cannot have run out."""
        return time.monotonic() < self._until_s.get(key, 0.0)

    async def take(self, key: str) -> int | None:
        """Take a key that is free, or whose holder is known to be dead; return the fencing number, None if it is not.

        Raises RedisUnavailable.
        """
        if not await self._take(key):
            return None
        return await self.number_above(key, 0)

    async def number_above(self, key: str, least: int) -> int | None:
        """Return a new fencing number above `least` for a key we hold; None if we cannot be sure that we do.

        The counter starts again in a Redis that was emptied. Raises RedisUnavailable.
        """
        fence = keys.fence(self._kind)
        number = int(await self._door.run(lambda client: client.incr(fence)))
        if number <= least:
            number = int(await self._door.run(lambda client: client.incrby(fence, least - number + 1)))
        return number if self.is_sure(key) else None

    async def renew(self) -> frozenset[str]:
        """Renew everything; return what was lost. What ran out and nobody took is ours again.

        Raises RedisUnavailable; then nothing is lost yet, but soon nothing is sure.
        """
        return frozenset([key for key in sorted(self._until_s) if not await self._keep(key)])

    async def release(self, released: Collection[str]) -> None:
        """Let the next owner have keys at once. Raises RedisUnavailable: then the leases run out."""
        for key in released:
            async with self._one:
                if self._until_s.pop(key, None) is not None:
                    name = keys.lease(self._kind, key)
                    await self._door.run(lambda client, name=name: client.eval(_RELEASE, 1, name, self.name))  # type: ignore[misc] # mypy cannot infer a lambda with a default

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Release everything, even when cancelled: nobody has to wait for what ended."""
        with trio.CancelScope(shield=True), suppress(RedisUnavailable):  # bounded by the door's timeouts
            await self.release(self.held)

    async def _keep(self, key: str) -> bool:
        """Renew unless it was released meanwhile: what is let go must not be taken again."""
        async with self._one:
            return key not in self._until_s or await self._take(key)

    async def _take(self, key: str) -> bool:
        sent_s = time.monotonic()
        other = await self._door.run(lambda client: self._attempt(client, key))
        if other is None:
            self._until_s[key] = sent_s + self._lease_ms / 1000
        else:
            self._until_s.pop(key, None)
        return other is None

    def _attempt(self, client: redis.Redis, key: str) -> str | None:
        """Return who holds the key if it cannot be had."""
        other = self._told(client, key, "")
        return self._told(client, key, other) if other and holder.is_dead(other) else other

    def _told(self, client: redis.Redis, key: str, dead: str) -> str | None:
        answer: Any = client.eval(_TAKE, 1, keys.lease(self._kind, key), self.name, self._lease_ms, dead)
        return answer.decode() if answer else None
