"""The consumer group of the trade streams: where it stands, what was read and not acknowledged.

A group's cursor and its pending list are a convenience, never the truth: the owner of a pair knows from PostgreSQL how
far its history goes, reads the stream again from there and then puts the cursor where it stopped. The rule: an entry is
acknowledged only after what was made of it is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.client import Pipeline
from redis.exceptions import AskError, ResponseError

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor, executed, pipeline
from priceverse.bus.entries import StreamId

SWEEP = 1000
"""Most entries acknowledged in one step."""

LOST_PREFIXES = ("NOGROUP", "UNBLOCKED", "no such key")


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the group has not read yet, and what it has read and not acknowledged: numbers of entries."""

    lag: int
    pending: int


class GroupLost(Exception):  # noqa: N818 - the state it reports
    """A stream or its group has gone: Redis was emptied or restarted. `seek` makes it again."""


async def seek(door: RedisDoor, pair: str, last: StreamId) -> None:
    """Let the group go on after `last`, making stream and group where they lack. Raises RedisUnavailable."""
    await door.run(lambda client: _seek(client, keys.trades(pair), last))


async def oldest_pending(door: RedisDoor, pair: str) -> StreamId | None:
    """Return the oldest entry that was delivered and never acknowledged. Raises RedisUnavailable."""
    return await door.run(lambda client: _oldest_pending(client, keys.trades(pair)))


async def acknowledge(door: RedisDoor, pair: str, below_ms: int) -> int:
    """Acknowledge every pending entry of `pair` with an id below `below_ms`, whoever it was delivered to.

    Returns how many. What a dead consumer left behind is thus settled by the next owner. Raises RedisUnavailable.
    """
    total = 0
    while done := await door.run(lambda client: _acknowledge(client, keys.trades(pair), below_ms)):
        total += done
    return total


async def backlog(door: RedisDoor, pairs: Sequence[str]) -> dict[str, Backlog]:
    """Return how far the group is behind in each stream that exists. Raises RedisUnavailable."""
    return await door.run(lambda client: _backlog(client, pairs))


def _seek(client: redis.Redis, stream: str, last: StreamId) -> None:
    try:
        client.xgroup_create(stream, keys.GROUP, id=str(last), mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        client.xgroup_setid(stream, keys.GROUP, str(last))


def group_checked(pipe: Pipeline) -> list[Any]:
    """Run a pipeline that reads through the group. Raises GroupLost."""
    try:
        return executed(pipe)
    except AskError as error:  # the stream moves to another node of the cluster: a page of it may be lost
        raise GroupLost(str(error)) from error
    except ResponseError as error:
        if str(error).startswith(LOST_PREFIXES):
            raise GroupLost(str(error)) from error
        raise


def _oldest_pending(client: redis.Redis, stream: str) -> StreamId | None:
    try:
        oldest = client.xpending(stream, keys.GROUP)["min"]
    except ResponseError as error:
        if str(error).startswith(LOST_PREFIXES):
            return None
        raise
    return StreamId.parse(oldest) if oldest else None


def _acknowledge(client: redis.Redis, stream: str, below_ms: int) -> int:
    try:
        pending = client.xpending_range(stream, keys.GROUP, "-", f"({below_ms}-0", SWEEP)
        return int(client.xack(stream, keys.GROUP, *(entry["message_id"] for entry in pending))) if pending else 0
    except ResponseError as error:
        if str(error).startswith(LOST_PREFIXES):
            return 0  # the group has gone, and what was pending in it
        raise


def _backlog(client: redis.Redis, pairs: Sequence[str]) -> dict[str, Backlog]:
    with pipeline(client) as pipe:
        for pair in pairs:
            pipe.xinfo_groups(keys.trades(pair))
        replies = pipe.execute(raise_on_error=False)
    return {
        pair: Backlog(lag=group.get("lag") or 0, pending=group["pending"])
        for pair, groups in zip(pairs, replies, strict=True)
        if not isinstance(groups, Exception)
        for group in groups
        if group["name"] == keys.GROUP.encode()
    }
