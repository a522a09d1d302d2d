"""Replies that take long to make, kept in Redis for everybody: the `Replies` port.

    in this process   who asks what is being asked already waits for the same answer
    in the instance   a short lock in Redis: one process makes a reply, the others wait for it
    database away     a chart that was kept up to an hour ago, marked `stale`
    Redis away        every process makes its own

The rule: a caller that gives up does not stop the work, others may wait for it.
"""

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TypeVar

import msgspec
import trio

from priceverse.api.breaker import Neighbour
from priceverse.bus import keys, replies
from priceverse.bus.client import RedisDoor
from priceverse.bus.replies import Kept, Taken
from priceverse.metrics import catalogue
from priceverse.metrics import tally as metrics
from priceverse.rpc.envelope import encode
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.limits import Limit, spend
from priceverse.rpc.ports import Topic

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)
Make = Callable[[], Awaitable[msgspec.Struct]]

POLL_S = 0.05
WAIT_S = 3.0
"""So long one process waits for another's reply before it makes its own."""

NOTHING = Taken(None, is_ours=False)

CHOSEN = Limit(300, 60)
"""So many replies about ranges that clients chose one process keeps: Redis holds the trades as well, and has an end."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How replies of a topic are kept."""

    key: Callable[..., str]
    fresh_s: float
    ttl_s: int
    most_bytes: int = 1 << 20
    limit: Limit | None = None

    @property
    def has_stale(self) -> bool:
        """Tell whether an older reply is kept for when no new one can be made."""
        return self.ttl_s > self.fresh_s


KEEPING: Mapping[Topic, Keeping] = {
    Topic.CHANGE: Keeping(keys.change, 30, keys.CHANGE_TTL_S),
    Topic.CHART: Keeping(keys.chart, 60, keys.CHART_TTL_S),
    Topic.RANGE: Keeping(keys.chart, 60, 60, most_bytes=1 << 15, limit=CHOSEN),
}


@dataclass(slots=True)
class Tally:
    """What came of the questions."""

    hits: int = 0
    misses: int = 0
    stale: int = 0


class KeptReplies:
    """The port."""

    def __init__(
        self,
        door: RedisDoor,
        redis: Neighbour,
        nursery: trio.Nursery,
        now_ms: Callable[[], int],
    ) -> None:
        self._door = door
        self._redis = redis
        self._nursery = nursery
        self._now_ms = now_ms
        self._max_age_s = inf
        self._flights: dict[Question, Flight] = {}
        self._kept_us = [0]
        self.tally = Tally()

    def no_older_than(self, max_age_s: float) -> "KeptReplies":
        """Return the same replies for a client that takes none of a greater age."""
        same = copy(self)
        same._max_age_s = max_age_s  # noqa: SLF001 - one's own copy
        return same

    async def get(self, topic: Topic, key: tuple[str, ...], reply: type[R], make: Callable[[], Awaitable[R]]) -> R:
        """Return the reply to a question. Raises what `make` raises, but for a stale chart in its stead."""
        keeping = KEEPING[topic]
        question = Question(keeping.key(*key), min(keeping.fresh_s, self._max_age_s), keeping)
        flight = self._flights.get(question)
        if flight is None:
            flight = self._flights[question] = Flight()
            self._nursery.start_soon(self._fly, flight, question, make)
        await flight.done.wait()
        return flight.reply(reply)

    async def _fly(self, flight: "Flight", question: "Question", make: Make) -> None:
        try:
            await self._answer(flight, question, make)
        except Exception as fault:  # noqa: BLE001 - carried to the callers, whose boundary is the dispatcher
            flight.fault = fault
        finally:
            del self._flights[question]
            flight.done.set()

    async def _answer(self, flight: "Flight", question: "Question", make: Make) -> None:
        made_after_ms = self._now_ms() - round(question.fresh_s * 1000)
        keeps = self._has_room(question.keeping)
        taken = await self._take(question, made_after_ms, lock=keeps)
        kept = taken.kept
        if kept is not None and kept.made_ms > made_after_ms:
            self.tally.hits += 1
            metrics.count(catalogue.CACHE, 1, "replies", "hit")
            flight.body = kept.body
            return
        try:
            flight.value = await make()
        except CallError as fault:
            if taken.is_ours:
                await self._quietly(partial(replies.release, self._door, question.key))
            if kept is None or fault.code is not Code.DATABASE or not question.keeping.has_stale:
                raise
            self.tally.stale += 1
            flight.body, flight.is_stale = kept.body, True
            return
        self.tally.misses += 1
        metrics.count(catalogue.CACHE, 1, "replies", "miss")
        if keeps:
            self._nursery.start_soon(self._keep, question, flight.value)

    async def _take(self, question: "Question", made_after_ms: int, *, lock: bool) -> Taken:
        """Return what is kept, and whether it is for us to make it anew; wait a while for whoever else does."""
        ask = partial(replies.take, self._door, question.key, made_after_ms=made_after_ms, lock=lock)
        best = NOTHING
        with trio.move_on_after(WAIT_S):
            while taken := await self._quietly(ask):  # without Redis there is nobody to wait for
                best = Taken(taken.kept or best.kept, taken.is_ours)
                if not lock or best.is_ours or (best.kept is not None and best.kept.made_ms > made_after_ms):
                    break
                await trio.sleep(POLL_S)
        return best

    async def _keep(self, question: "Question", value: msgspec.Struct) -> None:
        kept = Kept(self._now_ms(), encode(value))
        if len(kept.body) <= question.keeping.most_bytes and self._spend(question.keeping):
            await self._quietly(partial(replies.keep, self._door, question.key, kept, question.keeping.ttl_s))
        else:
            await self._quietly(partial(replies.release, self._door, question.key))

    def _has_room(self, keeping: Keeping) -> bool:
        """Tell whether one more reply may be kept: else nobody would find it, and nobody need wait for it."""
        if keeping.limit is None:
            return True
        quota, _ = spend("keep", keeping.limit, self._kept_us[0], self._now_ms() * 1000)
        return not quota.wait_s

    def _spend(self, keeping: Keeping) -> bool:
        if keeping.limit is None:
            return True
        quota, self._kept_us[0] = spend("keep", keeping.limit, self._kept_us[0], self._now_ms() * 1000)
        return not quota.wait_s

    async def _quietly(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Ask Redis, which is a convenience here: None if it is away."""
        try:
            return await self._redis.ask(ask)
        except CallError:
            return None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the key of its reply, and how old that may be."""

    key: str
    fresh_s: float
    keeping: Keeping


class Flight:
    """One question being worked on, and then its answer: a value, the JSON of one, or a fault."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.value: msgspec.Struct | None = None
        self.body = b""
        self.is_stale = False
        self.fault: Exception | None = None

    def reply(self, reply: type[R]) -> R:
        """Return the answer, once for each caller. Raises the fault."""
        if isinstance(self.fault, CallError):
            raise self.fault.again()
        if self.fault is not None:
            raise RuntimeError("a question that others asked as well has failed") from self.fault
        if self.value is not None:
            return msgspec.convert(self.value, reply)
        found = msgspec.json.decode(self.body, type=reply)
        return msgspec.structs.replace(found, stale=True) if self.is_stale else found
