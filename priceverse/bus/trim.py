"""How trade streams stay bounded: old entries go by age, unread ones only when there would be too many.

    first ── read and acknowledged ──┬── unread, or read and not acknowledged ── last
                                     └ `Reading.needed`

The rule: an entry that the group still needs outlives its age. Only the cap on a stream's length may cut it, for Redis
must not die of a reader that does not come back; whoever cuts hears how much it was.
"""

from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import ResponseError

from priceverse.bus import keys
from priceverse.bus.client import pipeline
from priceverse.bus.entries import MAX_SEQUENCE, StreamId


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a stream and its group stand; `needed` is the first entry that is not done with, None without a group."""

    length: int
    needed: StreamId | None


def trim(client: redis.Redis, pair: str, before_ms: int, most: int) -> int:
    """Forget the entries of a stream before `before_ms` that nobody needs; return how many had to go all the same.

    These go while the stream is longer than `most` entries (about: Redis cuts whole nodes).
    """
    stream = keys.trades(pair)
    reading = _reading(client, stream)
    oldest = StreamId(before_ms, 0) if reading.needed is None else min(StreamId(before_ms, 0), reading.needed)
    length = reading.length - int(client.xtrim(stream, minid=str(oldest), approximate=True))
    if length <= most:
        return 0
    if reading.needed is not None:
        length -= int(client.xtrim(stream, minid=str(reading.needed), approximate=False))
    cut = int(client.xtrim(stream, maxlen=most, approximate=True)) if length > most else 0
    return cut if reading.needed is not None else 0


def _reading(client: redis.Redis, stream: str) -> Reading:
    with pipeline(client) as pipe:
        pipe.xlen(stream)
        pipe.xinfo_groups(stream)
        pipe.xpending(stream, keys.GROUP)
        length, groups, pending = pipe.execute(raise_on_error=False)
    if isinstance(length, Exception):
        raise length
    if isinstance(groups, ResponseError) or isinstance(pending, ResponseError):
        return Reading(length, None)  # no stream, or no group: nobody reads yet
    return Reading(length, needed(groups, pending))


def needed(groups: list[dict[str, Any]], pending: dict[str, Any]) -> StreamId | None:
    """Return the first entry that the group has not done with, from what Redis says of it (pure)."""
    delivered = [group["last-delivered-id"] for group in groups if group["name"] == keys.GROUP.encode()]
    if not delivered:
        return None
    last = StreamId.parse(delivered[0])
    is_whole = last.sequence == MAX_SEQUENCE  # a group put before a millisecond
    following = StreamId(last.ms + 1, 0) if is_whole else StreamId(last.ms, last.sequence + 1)
    return min(following, StreamId.parse(pending["min"])) if pending["min"] else following
