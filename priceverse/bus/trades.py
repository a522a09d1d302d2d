"""Trades on the bus: one stream per source pair, written by collectors, read by the pair's owner.

    collector ─ TradeWriter ─▶ stream:trades:<pair> ─▶ TradeReader ─ aggregator

The rule: an entry's id, Redis's own clock, is the order in which the world sees trades. A batch may be written twice
after an ambiguous failure; readers tell trades apart by exchange and trade id.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

import redis

from priceverse.bus import keys, marks, pages
from priceverse.bus.client import RedisDoor, RedisUnavailable, at_the_door, executed, pipeline
from priceverse.bus.entries import BEGINNING, Received, StreamId, encode
from priceverse.bus.group import GroupLost, group_checked
from priceverse.bus.pages import SIZE, Page
from priceverse.bus.trim import trim
from priceverse.clock import now_ms
from priceverse.config.settings import Redis as RedisSettings
from priceverse.pricing.entry import Entry

__all__ = ["BEGINNING", "Entries", "GroupLost", "Received", "StreamId", "TradeReader", "TradeWriter", "page"]

TRIM_EVERY_MS = 10_000
PAGES = 4
"""Most pages of one stream in one read: while one is decoded, Redis makes the next."""

BLOCK_S = 0.5
"""How long a read waits for the first entry; shorter than any command's timeout, and how long stopping may take."""


@dataclass(frozen=True, slots=True)
class Entries:
    """What one read of one stream gave, in its order.

    Every entry whose id is below `complete_ms` has now been read, whether or not there was any; `is_full` if there may
    be more. `unreadable` entries were skipped: somebody else wrote to our stream.
    """

    trades: Sequence[Entry]
    last: StreamId | None
    complete_ms: int
    unreadable: int = 0
    is_full: bool = False


Found = dict[str, Entries]


class TradeWriter:
    """Appends batches of trades, and forgets those that are older than `keep_s` and no longer needed."""

    def __init__(self, settings: RedisSettings, keep_s: float) -> None:
        self._door = RedisDoor(settings)
        self._keep_ms = int(keep_s * 1000)
        self._most = settings.stream_max_entries
        self._trimmed_ms: dict[str, int] = {}

    async def publish(self, batch: Sequence[Received], words: marks.Words = MappingProxyType({})) -> Mapping[str, int]:
        """Append `batch` in one round trip, in its order; return how many unread entries of which pairs had to go.

        `words` of what the streams lack are written first. Raises RedisUnavailable: then any part may be written.
        """
        return await self._door.run(lambda client: self._append(client, batch, words)) if batch or words else {}

    async def aclose(self) -> None:
        """Close the connection."""
        await self._door.aclose()

    def _append(self, client: redis.Redis, batch: Sequence[Received], words: marks.Words) -> dict[str, int]:
        with pipeline(client) as pipe:
            marks.add_to(pipe, words)
            if self._door.is_cluster:
                executed(pipe)  # on whatever nodes they belong: before any trade
            for received in batch:
                pipe.execute_command("XADD", keys.trades(received.trade.pair), "*", *encode(received))
            executed(pipe)
        return self._trim(client, {received.trade.pair for received in batch})

    def _trim(self, client: redis.Redis, pairs: Iterable[str]) -> dict[str, int]:
        """Trim the streams of `pairs` that are due. Redis going away now is for the next batch to find."""
        now, cut = now_ms(), {}
        for pair in [pair for pair in pairs if self._trim_is_due(pair, now)]:
            self._trimmed_ms[pair] = now
            with suppress(RedisUnavailable), at_the_door():
                cut[pair] = trim(client, pair, now - self._keep_ms, self._most)
        return {pair: count for pair, count in cut.items() if count}

    def _trim_is_due(self, pair: str, now: int) -> bool:
        return abs(now - self._trimmed_ms.get(pair, 0)) >= TRIM_EVERY_MS


class TradeReader:
    """Reads the streams of the pairs that a process owns, through a door that nobody else waits at.

    `consumer` is a name that survives restarts. Reading goes forward only; `group.seek` says from where.
    """

    def __init__(self, door: RedisDoor, consumer: str) -> None:
        self._door = door
        self._consumer = consumer

    async def read(self, owned: Iterable[str], followed: Mapping[str, StreamId]) -> tuple[Found, Found]:
        """Return what is new: of `owned` pairs through the group, of `followed` ones after the given ids.

        Blocks until an owned stream has something, at most `BLOCK_S`; in a cluster it only looks, and a pair whose node
        is away may be missing in what it returns. Raises GroupLost, RedisUnavailable.
        """
        pairs = tuple(owned)
        read = self._look if self._door.is_cluster else self._read
        return await self._door.run(lambda client: read(client, pairs, followed))

    def _look(self, client: redis.Redis, owned: Sequence[str], followed: Mapping[str, StreamId]) -> tuple[Found, Found]:
        """Read stream by stream, at its node, by whose clock its ids are. What was had is kept when another is away."""
        found: tuple[Found, Found] = {}, {}
        away: RedisUnavailable | None = None
        single: list[tuple[tuple[str, ...], dict[str, StreamId]]] = [((pair,), {}) for pair in owned]
        for mine, others in [*single, *(((), {pair: last}) for pair, last in followed.items())]:
            try:
                with at_the_door():
                    read = self._read(client, mine, others, keys.trades(*mine, *others))
            except RedisUnavailable as error:
                away = error
            else:
                found[0].update(read[0])
                found[1].update(read[1])
        if away and not any(entries.last for entries in found[0].values()):
            raise away
        return found

    def _read(
        self, client: redis.Redis, owned: Sequence[str], followed: Mapping[str, StreamId], node_of: str | None = None
    ) -> tuple[Found, Found]:
        """Read all at once, waiting for the first entry; with `node_of`, a key, at that node and without waiting."""
        with pipeline(client, node_of) as pipe:
            pipe.time()  # first: whatever is appended after this moment has an id of at least this
            if followed:
                pipe.execute_command(*("XREAD", "COUNT", SIZE), *_streams(followed, map(str, followed.values())))
            if owned:
                group = ("XREADGROUP", "GROUP", keys.GROUP, self._consumer, "COUNT", SIZE)
                streams = _streams(owned, (">" for _ in owned))
                waiting = () if node_of else ("BLOCK", int(BLOCK_S * 1000))
                pipe.execute_command(*group, *waiting, *streams)
                for _ in range(PAGES - 1):
                    pipe.execute_command(*group, *streams)
            at, *replies = group_checked(pipe)
        at_ms = _milliseconds(at)
        others = {pair: _entries([replies[0]], pair, at_ms) for pair in followed}
        read = replies[1:] if followed else replies
        return {pair: _entries(read, pair, at_ms) for pair in owned}, others


async def page(door: RedisDoor, pair: str, after: StreamId) -> Entries:
    """Return the next entries after `after`, one page, whoever owns the pair. Raises RedisUnavailable."""

    def work(client: redis.Redis) -> Entries:
        with pipeline(client, keys.trades(pair)) as pipe:
            pipe.time()
            pipe.execute_command("XRANGE", keys.trades(pair), f"({after}", "+", "COUNT", SIZE)
            at, found = executed(pipe)
        return _joined([pages.page(found)], _milliseconds(at))

    return await door.run(work)


def _streams(pairs: Iterable[str], starts: Iterable[str]) -> tuple[str, ...]:
    return ("STREAMS", *map(keys.trades, pairs), *starts)


def _entries(replies: Sequence[Mapping[str, Page]], pair: str, at_ms: int) -> Entries:
    stream = keys.trades(pair)
    return _joined([reply[stream] for reply in replies if stream in reply], at_ms)


def _joined(read: Sequence[Page], at_ms: int) -> Entries:
    """Put the pages of one read together, which began at `at_ms`."""
    if not read:
        return Entries([], None, at_ms)
    last, is_full = read[-1].last, read[-1].is_full
    trades = [trade for each in read for trade in each.trades] if len(read) > 1 else read[0].trades
    unreadable = sum(each.unreadable for each in read)
    return Entries(trades, last, last.ms if last and is_full else at_ms, unreadable, is_full)


def _milliseconds(redis_time: tuple[int, int]) -> int:
    seconds, micros = redis_time
    return seconds * 1000 + micros // 1000
