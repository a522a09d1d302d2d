"""Statistics on the bus: what each child last said of itself, for whoever looks at the whole instance.

The rule: a report lives 30 s; a child that is silent for longer has no report.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor

JSON = str | int | float | bool | None | Sequence["JSON"] | Mapping[str, "JSON"]


async def report(door: RedisDoor, instance: str, child: str, values: Mapping[str, JSON]) -> None:
    """Replace the child's report. Raises RedisUnavailable."""
    payload = msgspec.json.encode(values)
    await door.run(lambda client: client.set(keys.stats(instance, child), payload, ex=keys.STATS_TTL_S))


async def collect(door: RedisDoor, instance: str, children: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return the reports of those `children` that have one. Raises RedisUnavailable."""
    if not children:
        return {}
    names = [keys.stats(instance, child) for child in children]
    found = await door.run(lambda client: client.mget(names))
    return {child: msgspec.json.decode(payload) for child, payload in zip(children, found, strict=True) if payload}
