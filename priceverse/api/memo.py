"""A question asked of a neighbour once for everybody: who asks meanwhile waits for the same answer, which is then kept.

The rule: however many requests need it, a neighbour hears each question one at a time and at most once per `keep_s`;
and a caller that gives up does not stop the question, it only stops waiting.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from priceverse.rpc.errors import CallError

T = TypeVar("T")


class Memo(Generic[T]):
    """The answer to one question; a CallError is an answer too, and is kept as long."""

    def __init__(self, nursery: trio.Nursery, ask: Callable[[], Awaitable[T]], *, keep_s: float) -> None:
        self._nursery = nursery
        self._ask = ask
        self._keep_s = keep_s
        self._kept_until_s = float("-inf")
        self._answered: trio.Event | None = None
        self._fault: CallError | None = None
        self._value: T

    async def get(self) -> T:
        """Return the answer. Raises the CallError that the question ended in."""
        if self._answered is None and trio.current_time() >= self._kept_until_s:
            self._answered = trio.Event()
            self._nursery.start_soon(self._fetch, self._answered)
        if self._answered is not None:
            await self._answered.wait()
        if self._fault is not None:
            raise self._fault.again()
        return self._value

    async def _fetch(self, answered: trio.Event) -> None:
        try:
            self._value, self._fault = await self._ask(), None
        except CallError as fault:
            self._fault = fault
        self._kept_until_s = trio.current_time() + self._keep_s
        self._answered = None
        answered.set()
