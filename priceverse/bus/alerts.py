"""What the alerts keep in Redis and ask of it: what fires, and how full Redis is."""

from collections.abc import Mapping
from typing import Any

import msgspec
import redis

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor

_firing = msgspec.json.Decoder(list[tuple[str, str, int]])


async def load(door: RedisDoor, instance: str) -> dict[tuple[str, str], int]:
    """Return (rule, subject) → ms since when, as last stored. Raises RedisUnavailable."""
    stored = await door.run(lambda client: client.get(keys.alerts(instance)))
    try:
        return {(rule, subject): since_ms for rule, subject, since_ms in _firing.decode(stored or b"[]")}
    except msgspec.DecodeError:  # not ours: what fires will be told again
        return {}


async def store(door: RedisDoor, instance: str, firing: Mapping[tuple[str, str], int]) -> None:
    """Replace what is stored. Raises RedisUnavailable."""
    payload = msgspec.json.encode([(rule, subject, since_ms) for (rule, subject), since_ms in firing.items()])
    await door.run(lambda client: client.set(keys.alerts(instance), payload))


async def used_ratio(door: RedisDoor) -> float:
    """Return the memory that Redis uses, as a share of what it may use; of a cluster the fullest node's.

    Raises RedisUnavailable.
    """
    return await door.run(_used_ratio)


def _used_ratio(client: redis.Redis) -> float:
    told: Mapping[str, Any] = client.info("memory")
    return max(map(_share, [told] if "used_memory" in told else told.values()))  # a cluster: by node


def _share(info: Mapping[str, Any]) -> float:
    limit_bytes = info.get("maxmemory") or info.get("total_system_memory") or 0
    return info["used_memory"] / limit_bytes if limit_bytes else 0.0
