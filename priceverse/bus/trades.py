"""Trades on the bus: one stream per source pair, written by collectors, read by the pair's owner.

    collector ─ TradeWriter ─▶ stream:trades:<pair> ─▶ TradeReader ─ aggregator

The rule: an entry carries exactly the digits received, and its id (Redis's own clock) is the order in which the world
sees it. A batch may be written twice after an ambiguous failure; readers tell trades apart by exchange and trade id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import redis
from redis.client import Pipeline
from redis.exceptions import ResponseError

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor, executed, pipeline
from priceverse.clock import now_ms
from priceverse.config.settings import Redis as RedisSettings
from priceverse.model.decimals import positive
from priceverse.model.exchange import Side
from priceverse.model.trade import Trade

LOST_PREFIXES = ("NOGROUP", "UNBLOCKED", "ERR no such key")
TRIM_EVERY_MS = 10_000
PAGE = 1000
"""Most entries of one stream in one read."""


class StreamId(NamedTuple):
    """A stream entry's id; ids of one stream only grow. `ms` is Redis's clock when the entry came."""

    ms: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.sequence}"

    @classmethod
    def parse(cls, text: str | bytes) -> "StreamId":
        """Read `ms-sequence`. Raises ValueError."""
        ms, _, sequence = (text.decode() if isinstance(text, bytes) else text).partition("-")
        return cls(int(ms), int(sequence or 0))


BEGINNING = StreamId(0, 0)


@dataclass(frozen=True, slots=True)
class Received:
    """A trade and the moment our collector had it, ms UTC."""

    trade: Trade
    received_ms: int


@dataclass(frozen=True, slots=True)
class Entries:
    """What one read of one stream gave, in its order.

    Every entry whose id is below `complete_ms` has now been read, whether or not there was any. `unreadable` entries
    were skipped: somebody else wrote to our stream.
    """

    trades: Sequence[tuple[StreamId, Received]]
    last: StreamId | None
    complete_ms: int
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the group has not read yet, and what it has read and not acknowledged: numbers of entries."""

    lag: int
    pending: int


class GroupLost(Exception):  # noqa: N818 - the state it reports
    """A stream or its group has gone: Redis was emptied or restarted. `TradeReader.seek` makes it again."""


class TradeWriter:
    """Appends batches of trades, and forgets those older than `keep_s`."""

    def __init__(self, settings: RedisSettings, keep_s: float) -> None:
        self._door = RedisDoor(settings)
        self._keep_ms = int(keep_s * 1000)
        self._trimmed_ms: dict[str, int] = {}

    async def publish(self, batch: Sequence[Received]) -> None:
        """Append `batch` in one round trip, in its order. Raises RedisUnavailable: then any part may be written."""
        if batch:
            await self._door.run(lambda client: self._append(client, batch))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._door.aclose()

    def _append(self, client: redis.Redis, batch: Sequence[Received]) -> None:
        now = now_ms()
        with pipeline(client) as pipe:
            for received in batch:
                pipe.execute_command("XADD", keys.trades(received.trade.pair), "*", *_fields(received))
            due = [pair for pair in {r.trade.pair for r in batch} if self._trim_is_due(pair, now)]
            for pair in due:
                pipe.xtrim(keys.trades(pair), minid=now - self._keep_ms, approximate=True)
            pipe.execute()
        self._trimmed_ms.update(dict.fromkeys(due, now))

    def _trim_is_due(self, pair: str, now: int) -> bool:
        return abs(now - self._trimmed_ms.get(pair, 0)) >= TRIM_EVERY_MS


def _fields(received: Received) -> tuple[str | int, ...]:
    trade = received.trade
    return (
        *("exchange", trade.exchange),
        *("price", str(trade.price)),
        *("volume", str(trade.volume)),
        *("timestamp", trade.timestamp_ms),
        *("trade_id", trade.trade_id),
        *("side", trade.side.value),
        *("received", received.received_ms),
    )


class TradeReader:
    """Reads the streams of the pairs that a process owns, on a connection of its own that may block.

    `consumer` is a name that survives restarts. Reading goes forward only; `seek` says from where.
    """

    def __init__(self, settings: RedisSettings, consumer: str, *, block_s: float = 0.5) -> None:
        self._door = RedisDoor(settings, extra_timeout_s=block_s)
        self._consumer = consumer
        self._block_ms = max(1, int(block_s * 1000))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._door.aclose()

    async def page(self, pair: str, after: StreamId) -> Entries:
        """Return the next entries after `after`, at most a page, without the group. Raises RedisUnavailable."""
        return await self._door.run(lambda client: _page(client, pair, after))

    async def seek(self, pair: str, last: StreamId) -> None:
        """Let the group go on after `last`, making stream and group where they lack. Raises RedisUnavailable."""
        await self._door.run(lambda client: _seek(client, keys.trades(pair), last))

    async def read(self, owned: Iterable[str], followed: dict[str, StreamId]) -> dict[str, Entries]:
        """Return what is new: of `owned` pairs through the group, of `followed` ones after the given ids.

        Blocks until an owned stream has something, at most `block_s`. Raises GroupLost, RedisUnavailable.
        """
        pairs = tuple(owned)
        return await self._door.run(lambda client: self._read(client, pairs, followed))

    async def oldest_pending(self, pair: str) -> StreamId | None:
        """Return the oldest entry that was delivered and never acknowledged. Raises RedisUnavailable."""
        return await self._door.run(lambda client: _oldest_pending(client, keys.trades(pair)))

    def _read(self, client: redis.Redis, owned: tuple[str, ...], followed: dict[str, StreamId]) -> dict[str, Entries]:
        with pipeline(client) as pipe:
            pipe.time()  # first: whatever is appended after this moment has an id of at least this
            if followed:
                names = map(keys.trades, followed)
                pipe.execute_command("XREAD", "COUNT", PAGE, "STREAMS", *names, *map(str, followed.values()))
            if owned:
                group = ("GROUP", keys.GROUP, self._consumer, "COUNT", PAGE, "BLOCK", self._block_ms)
                pipe.execute_command("XREADGROUP", *group, "STREAMS", *map(keys.trades, owned), *(">" for _ in owned))
            at, *found = _group_checked(pipe)
        raw = {name.decode(): entries for reply in found for name, entries in reply or ()}
        return {pair: _entries(raw.get(keys.trades(pair), ()), _milliseconds(at)) for pair in (*followed, *owned)}


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


def _page(client: redis.Redis, pair: str, after: StreamId) -> Entries:
    with pipeline(client) as pipe:
        pipe.time()
        pipe.execute_command("XRANGE", keys.trades(pair), f"({after}", "+", "COUNT", PAGE)
        at, found = executed(pipe)
    return _entries(found, _milliseconds(at))


def _seek(client: redis.Redis, stream: str, last: StreamId) -> None:
    try:
        client.xgroup_create(stream, keys.GROUP, id=str(last), mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        client.xgroup_setid(stream, keys.GROUP, str(last))


def _group_checked(pipe: Pipeline) -> list[Any]:
    try:
        return executed(pipe)
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
        pending = client.xpending_range(stream, keys.GROUP, "-", f"({below_ms}-0", PAGE)
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


def _milliseconds(redis_time: tuple[int, int]) -> int:
    seconds, micros = redis_time
    return seconds * 1000 + micros // 1000


def _entries(raw: Sequence[tuple[bytes, list[bytes]]], at_ms: int) -> Entries:
    trades: list[tuple[StreamId, Received]] = []
    unreadable = 0
    last = None
    for identifier, fields in raw:
        last = StreamId.parse(identifier)
        try:
            trades.append((last, _decode(fields)))
        except (KeyError, ValueError):
            unreadable += 1
    complete_ms = at_ms if len(raw) < PAGE or last is None else last.ms
    return Entries(trades, last, complete_ms, unreadable)


def _decode(fields: list[bytes]) -> Received:
    text = [field.decode() for field in fields]
    value = dict(zip(text[::2], text[1::2], strict=True))
    trade = Trade(
        exchange=value["exchange"],
        symbol="",
        pair="",
        price=positive(value["price"]),
        volume=positive(value["volume"]),
        timestamp_ms=int(value["timestamp"]),
        trade_id=value["trade_id"],
        side=Side(value["side"]),
    )
    return Received(trade, int(value["received"]))
