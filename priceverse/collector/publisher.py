"""From the buffer to Redis: batches of what came meanwhile, retried for ever, without ever holding up the socket.

The rule: Redis away is a state, not a failure. The batch in hand is tried again until it is through; meanwhile the
buffer fills, drops its oldest and counts them. Redis there, but slower than the venue for a moment, is no reason to
drop anything: whoever reads the venue is asked to wait, and the burst stays in the socket.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Protocol

import trio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from priceverse import clock
from priceverse.bus.client import RedisUnavailable
from priceverse.bus.marks import Words
from priceverse.bus.trades import Received
from priceverse.collector.buffer import BATCH, Buffer
from priceverse.collector.ledger import Ledger
from priceverse.collector.throttle import Throttle
from priceverse.log import get_logger

CROWDED = 10 * BATCH
"""So many waiting trades are a reason not to read more of them for now, unless Redis is away."""
RETRY_BASE_S, RETRY_CAP_S = 0.1, 5.0
LOG_EVERY_S = 10.0


class Writer(Protocol):
    """Where batches go: `bus.trades.TradeWriter`. Returns unread entries that had to go. Raises RedisUnavailable."""

    async def publish(self, batch: list[Received], words: Words, /) -> Mapping[str, int]: ...


class Missed(Protocol):
    """What the streams lack, to be written with the batches: `collector.marks.Marks`."""

    def opened(self, *, is_all: bool) -> Words: ...

    def settled(self) -> Words: ...


class Unmarked:
    """Says that nothing is missing."""

    def opened(self, *, is_all: bool) -> Words:  # noqa: ARG002 - as all say it
        """Return nothing to be written."""
        return _NOTHING

    def settled(self) -> Words:
        """Return nothing to be written."""
        return _NOTHING


_NOTHING: Words = MappingProxyType({})


class Publisher:
    """Write what is offered; `on_written` hears how many trades are through."""

    def __init__(
        self, writer: Writer, ledger: Ledger, on_written: Callable[[int], None], buffer: Buffer | None = None
    ) -> None:
        self.missed: Missed = Unmarked()
        self._writer = writer
        self._ledger = ledger
        self._on_written = on_written
        self._buffer = Buffer() if buffer is None else buffer
        self._filled = trio.Event()
        self._idle = trio.Event()
        self._room: trio.Event | None = None
        self._throttle = Throttle(LOG_EVERY_S)
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(RedisUnavailable),
            wait=wait_random_exponential(multiplier=RETRY_BASE_S, max=RETRY_CAP_S),
            before_sleep=self._note_absence,
        )

    def offer(self, trades: list[Received]) -> list[Received]:
        """Queue `trades`; never waits, never fails. Return those, of all that waited, that had to go for it."""
        gone = self._buffer.extend(trades)
        self._ledger.dropped = self._buffer.dropped
        self._ledger.queue = len(self._buffer)
        if not self._filled.is_set():
            self._filled.set()
            self._idle = trio.Event()
        return gone

    def crowded(self) -> trio.Event | None:
        """Return what is set once there is room for more trades; None if there is."""
        if self._room is None and len(self._buffer) >= CROWDED and not self._ledger.is_redis_away:
            self._room = trio.Event()
        return self._room

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._filled.wait()
            batch = self._buffer.take()
            await self._write(batch, self.missed.opened(is_all=not self._buffer))
            if not self._buffer and (settled := self.missed.settled()):
                await self._write([], settled)
            if not self._buffer:
                self._filled = trio.Event()
                self._idle.set()

    async def flush(self, timeout_s: float) -> None:
        """Wait until everything offered is written, at most `timeout_s`."""
        with trio.move_on_after(timeout_s):
            while self._filled.is_set():
                await self._idle.wait()

    async def _write(self, batch: list[Received], words: Words) -> None:
        cut = await self._publish(batch, words)
        if self._ledger.is_redis_away:
            get_logger().info("redis_back", queue=len(self._buffer), dropped=self._buffer.dropped)
        self._ledger.is_redis_away = False
        self._ledger.queue = len(self._buffer)
        self._ledger.written(batch, clock.now_ms())
        self._on_written(len(batch))
        for pair, count in cut.items():
            self._note_cut(pair, count)
        if len(self._buffer) < CROWDED:
            self._make_room()

    async def _publish(self, batch: list[Received], words: Words) -> Mapping[str, int]:
        """Write until it is through. The first try is plain: counting tries costs a tenth of a collector's time."""
        with suppress(RedisUnavailable):
            return await self._writer.publish(batch, words)
        retried: Mapping[str, int] = await self._retrying(self._writer.publish, batch, words)
        return retried

    def _make_room(self) -> None:
        """Let those go on who wait for room."""
        if self._room is not None:
            self._room.set()
            self._room = None

    def _note_cut(self, pair: str, count: int) -> None:
        """Tell that a stream grew too long for Redis, and its reader has lost what it had not read."""
        self._ledger.cut_unread += count
        suppressed = self._throttle.passes(f"cut {pair}", trio.current_time())
        if suppressed is not None:
            get_logger().error("stream_cut_unread", pair=pair, entries=count, suppressed=suppressed)

    def _note_absence(self, state: RetryCallState) -> None:
        self._ledger.is_redis_away = True
        self._make_room()
        suppressed = self._throttle.passes("redis_away", trio.current_time())
        if suppressed is not None and state.outcome and state.next_action:
            get_logger().warning(
                "redis_away",
                error=str(state.outcome.exception()),
                next_attempt_s=round(state.next_action.sleep, 2),
                queue=len(self._buffer),
                dropped=self._buffer.dropped,
                suppressed=suppressed,
            )
